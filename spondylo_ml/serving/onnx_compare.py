"""Compare ONNX Runtime with torch: tensors of the network, and the corners and grades computed from them.

Both backends get the same films in the same batches, in single precision, and share all code around the network, so
every difference comes from the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spondylo_ml.clinical.measure import levels_by_geometry
from spondylo_ml.clinical.measurement import LevelMeasurement
from spondylo_ml.config import ClinicalConfig, ReadingConfig
from spondylo_ml.data.films import HeldImage
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.evaluation.slips import predicted_vertebrae
from spondylo_ml.landmarks import CORNERS, Facing, Film, FilmPrediction, level_name
from spondylo_ml.models.base import LandmarkModel, NetworkOutput
from spondylo_ml.nan import finite_or_none
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.film_model import BATCH_SIZE, FilmModel
from spondylo_ml.serving.film_result import FilmResult
from spondylo_ml.serving.onnx_network import COMPUTE
from spondylo_ml.serving.onnx_parity import FilmPair, LevelPair, Parity, TensorDifference


def compare_networks(
    bundle: Bundle, onnx_bundle: Bundle, films: Sequence[Film], on_film: Callable[[], object] = lambda: None
) -> Parity:
    """Compare both networks on the films; the first film by itself, the others in batches.

    Raises:
        DataError: no films, or a film that cannot be read.
    """
    if not films:
        raise DataError("at least one film is needed to compare two networks")
    ours, theirs = (FilmModel(_once_without_intervals(b), "", COMPUTE, BATCH_SIZE) for b in (bundle, onnx_bundle))
    tensors: dict[str, TensorDifference] = {}
    pairs = []
    with _recorded(bundle.model) as by_torch, _recorded(onnx_bundle.model) as by_onnx:
        for chunk in _chunks(films):
            held: list[Any] = [replace(film, image=HeldImage(film.image.read())) for film in chunk]
            for a, b in zip(ours.predict(held), theirs.predict(held), strict=True):
                pairs.append(_film_pair(a, b, bundle.config.clinical))
                on_film()
            for first, second in zip(by_torch, by_onnx, strict=True):
                _add_differences(tensors, first, second)
            by_torch.clear()
            by_onnx.clear()
    return Parity(tensors, tuple(pairs))


def _once_without_intervals(bundle: Bundle) -> Bundle:
    """The model without intervals, which follow from corners and maps and take most of the time, and without second
    readings on crops, so that both networks see the same pictures."""
    config = bundle.config.model_copy(update={"reading": ReadingConfig()})
    return replace(bundle, config=config, uncertainty=None)


def points_to_limit(level: LevelMeasurement, rules: ClinicalConfig) -> float:
    """Distance from a level's slip to the nearest limit between grades, percentage points; NaN without a slip."""
    size, size_mm = abs(level.slip.value), abs(level.slip_mm.value)
    limits = list(rules.grade_limits_percent)
    if rules.grade0_rule == "percent" or np.isnan(size_mm):
        limits.append(rules.grade0_percent)
    elif size_mm > 0:
        limits.append(rules.grade0_mm * size / size_mm)
    return min(abs(size - limit) for limit in limits)


@contextmanager
def _recorded(model: LandmarkModel) -> Iterator[list[NetworkOutput]]:
    """List to which every output of the network is appended within the block; the caller may clear it."""
    outputs: list[NetworkOutput] = []
    hook = model.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()


def _chunks(films: Sequence[Film]) -> Iterator[Sequence[Film]]:
    yield films[:1]
    for start in range(1, len(films), BATCH_SIZE):
        yield films[start : start + BATCH_SIZE]


def _add_differences(tensors: dict[str, TensorDifference], ours: NetworkOutput, theirs: NetworkOutput) -> None:
    for name, a, b in zip(NetworkOutput._fields, ours, theirs, strict=True):
        if a is None and b is None:
            continue
        before = tensors.get(name, TensorDifference(0.0, 0.0))
        difference = _largest(a - b) if a is not None and b is not None and a.shape == b.shape else float("inf")
        largest = _largest(a) if a is not None else 0.0
        tensors[name] = TensorDifference(max(before.largest_difference, difference), max(before.largest_value, largest))


def _largest(values: Tensor) -> float:
    return float(torch.nan_to_num(values.abs().float(), nan=torch.inf, posinf=torch.inf).max())


def _film_pair(ours: FilmResult, theirs: FilmResult, rules: ClinicalConfig) -> FilmPair:
    a, b = ours.prediction, theirs.prediction
    if a is None or b is None:
        raise DataError(f"film {ours.film_id} cannot be compared: {ours.error or theirs.error}")
    present, present_in_other = a.presence >= PRESENCE_THRESHOLD, b.presence >= PRESENCE_THRESHOLD
    names = [level_name(a.slots.first + int(row)) for row in np.flatnonzero(present != present_in_other)]
    largest, where = _largest_distance(a, b, present)
    return FilmPair(
        film_id=ours.film_id,
        corners=int(present.sum()) * len(CORNERS),
        largest_px=largest,
        where=where,
        absent_px=_largest_distance(a, b, ~present)[0],
        seen_by_one=tuple(names),
        levels=_level_pairs(ours, theirs, rules),
    )


def _largest_distance(a: FilmPrediction, b: FilmPrediction, rows: Any) -> tuple[float, str]:
    distance = np.linalg.norm(a.corners_xy[rows] - b.corners_xy[rows], axis=-1)
    if not distance.size:
        return 0.0, "no corner"
    distance = np.nan_to_num(distance, nan=np.inf)
    row, corner = np.unravel_index(int(distance.argmax()), distance.shape)
    slot = a.slots.first + int(np.flatnonzero(rows)[row])
    return float(distance.max()), f"{CORNERS[int(corner)]} of {level_name(slot)}"


def _level_pairs(ours: FilmResult, theirs: FilmResult, rules: ClinicalConfig) -> tuple[LevelPair, ...]:
    a, b = ({(one.upper_slot, one.lower_slot): one for one in _levels(result, rules)} for result in (ours, theirs))
    return tuple(_level_pair(ours.film_id, a.get(key), b.get(key), rules) for key in sorted(a.keys() | b.keys()))


def _levels(result: FilmResult, rules: ClinicalConfig) -> tuple[LevelMeasurement, ...]:
    """The levels by geometry alone, without withholding implausible ones, which depends on thresholds."""
    film, prediction = result.film, result.prediction
    if film is None or prediction is None:
        return ()
    facing = film.facing if film.facing in (Facing.LEFT, Facing.RIGHT) else Facing.LEFT
    return levels_by_geometry(predicted_vertebrae(prediction), facing, rules, film.spacing, film.pixel_aspect or 1.0)


def _level_pair(
    film_id: str, ours: LevelMeasurement | None, theirs: LevelMeasurement | None, rules: ClinicalConfig
) -> LevelPair:
    either = ours or theirs
    return LevelPair(
        film_id=film_id,
        level=either.name if either else "",
        torch_grade=ours.grade if ours else None,
        onnx_grade=theirs.grade if theirs else None,
        torch_slip_percent=finite_or_none(ours.slip.value) if ours else None,
        onnx_slip_percent=finite_or_none(theirs.slip.value) if theirs else None,
        points_to_limit=finite_or_none(points_to_limit(ours, rules)) if ours else None,
    )
