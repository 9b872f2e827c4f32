"""From a finished training run to the files of the starter model."""

from __future__ import annotations

import json
import logging
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.entities import Run

from spondylo_ml.config import ReadingConfig
from spondylo_ml.data.conditions import NOT_LUMBAR, condition_films
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.loading import load_films
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation import uncertainty
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.heatmap_evidence import Evidence
from spondylo_ml.evaluation.level_confidence import LevelConfidence
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.refusal import Refusal
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.landmarks import Film
from spondylo_ml.models.zoo import parameter_count
from spondylo_ml.nan import drop_nan
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.bundle import Bundle, bundle_digest, load_bundle, save_bundle
from spondylo_ml.serving.half_precision import round_to_half
from spondylo_ml.serving.local_model import ORIGIN
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.workflows.shared.uncertainty import evaluate_uncertainty
from starter.card import StarterFacts, starter_card
from starter.recipe import without_starting_model

log = logging.getLogger(__name__)

CARD = "card.md"
PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless", "albumentations")
"""Packages on which the weights depend."""

OTHERS_SEED, OTHERS_PER_KIND = 2_000_000, 20
"""Seed and number, of each kind, of the films without a lumbar spine on which refusals are counted; no model is trained
on films of this seed."""

HARDER = ("narrow-discs", "bowel-gas", "enhanced", "difficult")
HARDER_SEED, HARDER_PER_CONDITION = 3_000_000, 10
"""Further films to calibrate on, of no training run. Real films are harder to read than the validation films. The page
of measurements has what 0, 5, 10 and 20 films of each condition give."""


@dataclass(frozen=True)
class Origins:
    """Where the first weights were from; the commits that trained them, trained the close-up, and built the model."""

    weights_from: str
    training: str
    close_up: str
    building: str


@dataclass(frozen=True)
class Rounding:
    """How far half precision moves the corners of the predicted vertebrae on the validation films, px512.

    Attributes:
        median_px512, mean_px512, largest_px512: None if no vertebra is predicted.
    """

    median_px512: float | None
    mean_px512: float | None
    largest_px512: float | None
    n_corners: int


def build_starter(
    run_id: str, origins: Origins, folder: Path, reading: ReadingConfig | None = None, uncalibrated: bool = False
) -> str:
    """Write the model of a training run with its card and origin to `folder`, which is replaced; returns its digest.

    The weights are rounded to half precision first: calibration and evaluation are those of the rounded model.

    Args:
        reading: how the model reads films, on which its weights do not depend; as the run says if None.
        uncalibrated: accept a model that cannot be calibrated, as that of the smoke variant, which finds no vertebra.

    Raises:
        DataError: the model cannot be calibrated.
    """
    bundle = fetch_bundle(run_id)
    trained = _reading_as(replace(bundle, config=without_starting_model(bundle.config)), reading)
    films = load_films(trained.config.data)
    harder = [] if uncalibrated else harder_films(HARDER_PER_CONDITION, trained.config.data.phantom_long_side_px)
    log.info("rounded to half precision, calibrated on %d + %d films", len(films.part("val")), len(harder))
    bundle, rounding = rounded_and_calibrated(trained, films, harder, uncalibrated)
    shutil.rmtree(folder, ignore_errors=True)
    save_bundle(bundle, folder, half=True)
    made = load_bundle(folder)
    reports = {part: _report(made, films, part) for part in ("val", "test")}
    run = mlflow.get_run(run_id)
    origin = _origin(made, run, films, origins, bundle_digest(folder), rounding, reports, len(harder))
    _write_origin_and_card(made, films, origin, reports, folder)
    return bundle_digest(folder)


def evaluate_again(folder: Path, to: Path, reading: ReadingConfig, commit: str) -> str:
    """Write the starter model of a folder to another one, with a way of reading and its numbers; returns its digest.

    Weights and calibration stay, which is right where `reading.check_levels` alone is changed. The origin states the
    digests of the films as this code draws them; a changed generator changes digests even where the pixels stay.

    Args:
        commit: that of the code that evaluates.
    """
    bundle = _reading_as(load_bundle(folder), reading)
    origin = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    films = load_films(bundle.config.data)
    digests = {part: digest(films.part(part), films.slots) for part in ("val", "test")}
    shutil.rmtree(to, ignore_errors=True)
    save_bundle(bundle, to, half=True)
    made = load_bundle(to)
    reports = {part: _report(made, films, part) for part in ("val", "test")}
    evaluation = {"code_commit": commit, "films": digests}
    origin |= {"digest": bundle_digest(to), "evaluation": evaluation, "metrics": _metrics(reports)}
    _write_origin_and_card(made, films, origin, reports, to)
    return bundle_digest(to)


def harder_films(per_condition: int, long_side_px: int) -> list[Film]:
    """`per_condition` films under each of the conditions `HARDER`."""
    sets = (condition_films(name, per_condition, HARDER_SEED, long_side_px) for name in HARDER)
    return [film for films in sets for film in films.films]


def rounded_and_calibrated(
    bundle: Bundle, films: FilmSet, harder: Sequence[Film] = (), uncalibrated: bool = False
) -> tuple[Bundle, Rounding]:
    """The bundle with its weights rounded in place, and fitted anew what is fitted on validation films.

    That is evidence and refusal, and, on the harder films too, uncertainty and confidence in levels.

    Args:
        harder: further films, of other patients.
        uncalibrated: see `build_starter`.

    Raises:
        DataError: too few validation films, or too few vertebrae found on them.
    """
    val = films.part("val")
    # Levels are not checked here: that takes three quarters of the time, and changes neither corners nor their scores.
    unchecked = bundle.config.reading.model_copy(update={"check_levels": False})
    bare = replace(_reading_as(bundle, unchecked), uncertainty=None, evidence=None, level_confidence=None, refusal=None)
    exact = Predictor(bare).predict(val)
    round_to_half(bundle.model)
    predictions = PredictionSet(val, Predictor(bare).predict(val))
    more = PredictionSet([*val, *harder], [*predictions.predictions, *Predictor(bare).predict(harder)])
    evidence = Evidence.fit(predictions.predictions)
    calibrated = refusing(_calibrated(replace(bare, evidence=evidence), more, uncalibrated), predictions)
    calibrated = _reading_as(calibrated, bundle.config.reading)
    moved = [
        np.linalg.norm(after.corners_xy - before.corners_xy, axis=-1)[before.presence >= PRESENCE_THRESHOLD].ravel()
        * (512 / max(film.size_hw))
        for film, before, after in zip(val, exact, predictions.predictions, strict=True)
    ]
    px512 = np.concatenate(moved)
    if not len(px512):
        return calibrated, Rounding(None, None, None, 0)
    rounding = Rounding(float(np.median(px512)), float(px512.mean()), float(px512.max()), len(px512))
    return calibrated, rounding


def _calibrated(bundle: Bundle, predictions: PredictionSet, uncalibrated: bool) -> Bundle:
    fitted = None
    try:
        fitted = uncertainty.calibrate(predictions, bundle.config.clinical, bundle.config.uncertainty).model
        if bundle.evidence is None:
            raise DataError("vertebrae are found on too few validation films to learn how definite corners usually are")
    except DataError as error:
        if not uncalibrated:
            raise
        log.info("not calibrated: %s", error)
    levels = LevelConfidence.fit(predictions.pairs)
    return replace(bundle, uncertainty=fitted, level_confidence=levels)


def refusing(bundle: Bundle, predictions: PredictionSet) -> Bundle:
    """The bundle with its limit of refusal, if there are enough validation films, and its refusals counted.

    Args:
        predictions: of the bundle without the limit on the validation films.
    """
    rate = bundle.config.reading.false_refusals
    if Refusal.fit(predictions.pairs, rate) is None:
        return bundle
    side_px = max(max(film.size_hw) for film in predictions.films)
    others = [f for kind in NOT_LUMBAR for f in condition_films(kind, OTHERS_PER_KIND, OTHERS_SEED, side_px).films]
    fitted = Refusal.fit(predictions.pairs, rate, Predictor(bundle).predict(others))
    assert fitted is not None
    fitted = fitted.recounted(Predictor(replace(bundle, refusal=fitted)).predict(others))
    log.info("refused: %s", fitted.in_words)
    return replace(bundle, refusal=fitted)


def _reading_as(bundle: Bundle, reading: ReadingConfig | None) -> Bundle:
    if reading is None:
        return bundle
    return replace(bundle, config=bundle.config.model_copy(update={"reading": reading}))


def _report(bundle: Bundle, films: FilmSet, part: str) -> EvaluationReport:
    part_films = films.part(part)
    predictions = PredictionSet(part_films, Predictor(bundle).predict(part_films))
    report = evaluate_predictions(predictions, bundle.config.clinical, _header(films, part))
    if part == "val" or bundle.uncertainty is None:  # the sets of slips are fitted on the validation films
        return report
    levels = uncertainty.level_table(predictions, bundle.uncertainty, bundle.config.clinical)
    bootstrap = predictions.bootstrap(report.resamples, report.seed, report.confidence)
    measured = evaluate_uncertainty(levels, predictions, bundle.uncertainty, bootstrap)
    return measured.added_to(report) if measured else report


def _write_origin_and_card(
    bundle: Bundle, films: FilmSet, origin: dict[str, Any], reports: dict[str, EvaluationReport], folder: Path
) -> None:
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    card = starter_card(StarterFacts(origin, reports, _mean_shape_report(bundle, films)))
    (folder / CARD).write_text(card, encoding="utf-8")


def _metrics(reports: dict[str, EvaluationReport]) -> dict[str, dict[str, float]]:
    return {part: drop_nan({name: e.value for name, e in report.numbers.items()}) for part, report in reports.items()}


def _mean_shape_report(bundle: Bundle, films: FilmSet) -> EvaluationReport:
    predictions = bundle.mean_shape.predict_films(films.part("test"))
    return evaluate_predictions(predictions, bundle.config.clinical, _header(films, "test"))


def _header(films: FilmSet, part: str) -> ReportHeader:
    return ReportHeader(films.name, part, digest(films.part(part), films.slots))


def _origin(
    bundle: Bundle,
    run: Run,
    films: FilmSet,
    origins: Origins,
    model_digest: str,
    rounding: Rounding,
    reports: dict[str, EvaluationReport],
    n_harder: int,
) -> dict[str, Any]:
    """How the model was made, as JSON values."""
    return {
        "digest": model_digest,
        "made": datetime.now(UTC).date().isoformat(),
        "code_commit": origins.building,
        "model": bundle.config.model.name,
        "parameters": parameter_count(bundle.model),
        "levels": list(bundle.slots.names),
        "weights_from": origins.weights_from,
        "films": {
            "name": films.name,
            **{part: {"films": len(films.part(part)), "sha256": digest(films.part(part), films.slots)}
               for part in ("train", "val", "test")},
        },
        "training": {
            "code_commit": origins.training, "close_up_commit": origins.close_up, "threads": torch.get_num_threads(),
            "epochs": bundle.config.training.epochs, "run": run.info.run_id,
        },
        "half_precision": vars(rounding),
        "calibrated_on": {"validation": len(films.part("val")), "harder": n_harder},
        "refusal": bundle.refusal.model_dump(mode="json") if bundle.refusal else None,
        "machine": {"platform": platform.platform(), "processor": _processor(), "python": platform.python_version()},
        "packages": {name: version(name) for name in PACKAGES},
        "metrics": _metrics(reports),
    }  # fmt: skip


def _processor() -> str:
    """Name of the processor's model; the architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
