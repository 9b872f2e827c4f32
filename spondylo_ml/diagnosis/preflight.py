"""All checks, in the order in which they are reported."""

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
from spondylo_ml.diagnosis.results import CheckResult, judged, not_applicable
from spondylo_ml.diagnosis.untouched import untouched
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.device import Compute

FILMS, FILMS_OF_A_STEP = 8, 2


@dataclass(frozen=True)
class PreflightResult:
    """The results, and where the gradient went; None where a step does not fit into memory."""

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
    """Check a training that is about to start, or one that has ended.

    Nothing of it is left in the model, apart from its being on the device, nor in torch's random state.

    Args:
        train: labelled films of the training part, all or some.
        val: labelled films of the validation part, all or some.
        n_films: labelled films in the whole training part.
    """
    cornered = [film for film in train if np.isfinite(film.corners_xy).any()] or train
    few = evenly_spaced(cornered, FILMS)
    model.to(compute.device)
    with untouched(model):  # loaders, too, draw from torch's random state
        census, step = _try_step(model, config, compute, few, n_films)
        of_films = [
            check_oracle(model, few),
            check_inputs(train, val),
            check_learning_rate(model, config.training, n_films),
            check_flip(few),
        ]
    return PreflightResult((step[0], *of_films, step[1]), census)


def _try_step(
    model: LandmarkModel, config: Config, compute: Compute, films: Sequence[PreparedFilm], n_films: int
) -> tuple[GradientCensus | None, list[CheckResult]]:
    """What needs a step of the network: gradients and memory."""
    device = torch.device(compute.device)
    batch_of = partial(_batch, films, device)
    available = available_bytes(device)
    try:
        with compute.autocast():
            need = footprint(model, batch_of, config.training)
            census = gradient_census(model, batch_of(FILMS_OF_A_STEP))
    except torch.OutOfMemoryError:
        text = f"a step of {memory.MORE} films does not fit into the {available / memory.GIB:.2f} GiB that are free"
        advice = "Lower data.input_side_px, choose a smaller model, or end what else uses the device."
        nan = float("nan")
        full = judged(memory.NAME, False, text, nan, memory.USABLE * available / memory.GIB, "GiB", advice)
        return None, [not_applicable(gradients.NAME, "no step fits into memory"), full]
    return census, [check_gradients(census), check_memory(need, config.training, n_films, available)]


def _batch(films: Sequence[PreparedFilm], device: torch.device, count: int) -> FilmBatch:
    """So many films, again from the first where there are fewer."""
    chosen = [films[i % len(films)] for i in range(count)]
    (batch,) = plain_loader(chosen, count)
    return FilmBatch(*(part.to(device) for part in batch))
