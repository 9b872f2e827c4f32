"""All checks before a training run, in the order of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from spondylo_ml.config.schema import Config
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.diagnosis import gradients, memory
from spondylo_ml.diagnosis.flip import check_flip
from spondylo_ml.diagnosis.gradients import GradientCensus, check_gradients, gradient_census
from spondylo_ml.diagnosis.inputs import check_inputs
from spondylo_ml.diagnosis.learning_rate import check_learning_rate
from spondylo_ml.diagnosis.memory import available_bytes, check_memory, footprint
from spondylo_ml.diagnosis.oracle import check_oracle
from spondylo_ml.diagnosis.preserve_state import preserve_state
from spondylo_ml.diagnosis.results import CheckResult, check_result, not_applicable
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.device import Compute

FILMS, FILMS_OF_A_STEP = 8, 2


@dataclass(frozen=True)
class PreflightResult:
    """The results, and the gradients of a step; None if no step fits into memory."""

    results: tuple[CheckResult, ...]
    census: GradientCensus | None


def run_checks(
    model: LandmarkModel,
    config: Config,
    compute: Compute,
    train: Sequence[PreparedFilm],
    val: Sequence[PreparedFilm],
    n_films: int,
) -> PreflightResult:
    """Check a configuration and its films before or after a training run.

    The model is moved to the device; its state and torch's random state are unchanged.

    Args:
        train: all or some labelled films of the training part.
        val: all or some labelled films of the validation part.
        n_films: number of labelled films in the whole training part.
    """
    cornered = [film for film in train if np.isfinite(film.corners_xy).any()] or train
    few = evenly_spaced(cornered, FILMS)
    model.to(compute.device)
    with preserve_state(model):  # data loaders use torch's random state too
        census, step = _try_step(model, config, compute, few, n_films)
        film_checks = [
            check_oracle(model, few),
            check_inputs(train, val),
            check_learning_rate(model, config.training, n_films),
            check_flip(few),
        ]
    return PreflightResult((step[0], *film_checks, step[1]), census)


def _try_step(
    model: LandmarkModel, config: Config, compute: Compute, films: Sequence[PreparedFilm], n_films: int
) -> tuple[GradientCensus | None, list[CheckResult]]:
    """The checks that need a training step: gradients and memory."""
    device = torch.device(compute.device)
    batch_of = partial(_batch, films, device)
    available = available_bytes(device)
    try:
        with compute.autocast():
            need = footprint(model, batch_of, config.training)
            census = gradient_census(model, batch_of(FILMS_OF_A_STEP))
    except torch.OutOfMemoryError:
        text = f"a step of {memory.MORE} films does not fit into the {available / memory.GIB:.2f} GiB that are free"
        advice = "Lower data.input_side_px, choose a smaller model, or stop other processes on the device."
        nan = float("nan")
        full = check_result(memory.NAME, False, text, nan, memory.USABLE * available / memory.GIB, "GiB", advice)
        return None, [not_applicable(gradients.NAME, "no step fits into memory"), full]
    return census, [check_gradients(census), check_memory(need, config.training, n_films, available)]


def _batch(films: Sequence[PreparedFilm], device: torch.device, count: int) -> FilmBatch:
    """A batch of `count` films, repeated if there are fewer."""
    batch_films = [films[i % len(films)] for i in range(count)]
    (batch,) = plain_loader(batch_films, count)
    return FilmBatch(*(part.to(device) for part in batch))
