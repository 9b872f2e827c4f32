"""Summaries of commands on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from builders import ap_corners, plain_film, prediction_of
from mlflow.tracking import MlflowClient
from stores import store_in

from spondylo_ml.cli.summaries.evaluation import evaluation_summary
from spondylo_ml.cli.summaries.training import after_training
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.evaluation.cobb import T1_TO_L5
from spondylo_ml.evaluation.evaluate_predictions import ReportHeader, evaluate_predictions
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Facing, SlotRange, vertebrae_from_sacrum
from spondylo_ml.workflows.evaluate import EvaluationResult

SIZE_HW = (704, 400)


@pytest.fixture(autouse=True)
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run in a store of its own."""
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    client = MlflowClient()
    yield str(client.create_run(client.create_experiment("one")).info.run_id)
    mlflow.set_tracking_uri(before)


def summary(run_id: str, *slots: SlotRange, shift_px: float = 0.0) -> str:
    """Summary of an evaluation of one AP film for each range of slots, with all corners moved."""
    spine = vertebrae_from_sacrum(ap_corners(SIZE_HW)[::-1], first_slot=1)
    films = [plain_film(f"f{i}", spine, SIZE_HW, facing=Facing.NONE) for i in range(len(slots))]
    both = PredictionSet(films, [prediction_of(f, s, (shift_px, 0.0)) for f, s in zip(films, slots, strict=True)])
    report = evaluate_predictions(both, ClinicalConfig(), ReportHeader("films", "test", "0" * 64, resamples=20))
    metrics = score(both) | {"mean_shape_mre_px512": 30.0}
    return evaluation_summary(
        EvaluationResult(run_id, "unet #1", "films, test part", metrics, len(films), len(films), report)
    )


def test_an_evaluation_of_ap_films_states_their_metrics(run_id: str) -> None:
    lines = summary(run_id, T1_TO_L5, T1_TO_L5, shift_px=30.0).splitlines()
    (corners,) = (line for line in lines if "AP corners" in line)
    (angles,) = (line for line in lines if "AP angles" in line)
    # (30 / 400)^2 = 0.005625, alike for both patients; a rate seen in 2 of 2 may be as low as .025 ** (1 / 2) = .1581.
    assert "NMSE 0.005625 [0.005625, 0.005625], OR20 100.00 [15.81, 100.00] %, OR40 0.00 [0.00, 84.19] %" in corners
    assert angles.endswith("Cobb SMAPE 0.00 [0.00, 0.00] %, Cobb CMAE 0.00 [0.00, 0.00] °, n 2")


def test_films_without_angles_are_counted(run_id: str) -> None:
    (angles,) = (line for line in summary(run_id, T1_TO_L5, SlotRange(0, 10)).splitlines() if "AP angles" in line)
    assert angles.endswith("n 1, films without angles: 1")


@pytest.mark.parametrize(
    ("mre_px512", "n_test", "start"),
    [
        (20.0, 3, "Next, compare it with the champion"),
        (20.0, 0, "The test part has no labelled film"),
        (30.0, 3, "It does not beat the mean shape"),
    ],
)
def test_a_promotion_is_proposed_only_where_it_may_succeed(mre_px512: float, n_test: int, start: str) -> None:
    fit = SimpleNamespace(best={"val/mre_px512": mre_px512})
    result: Any = SimpleNamespace(run_id="4aea", fit=fit, mean_shape_mre_px512=30.0, n_test=n_test)
    assert after_training(result).startswith(start)
