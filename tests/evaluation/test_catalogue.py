"""The catalogue of metrics: names, directions and digits."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from builders import plain_film, prediction_of
from spines import stacked

from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import ConfigError
from spondylo_ml.evaluation.catalogue import METRICS, find_metric, format_value, lower_is_better, metric_definition
from spondylo_ml.evaluation.leaderboard import COSTS
from spondylo_ml.evaluation.leaderboard import METRICS as LEADERBOARD_METRICS
from spondylo_ml.evaluation.metric_table import Direction
from spondylo_ml.evaluation.paired import paired_values
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.promotion.card import RESULTS
from spondylo_ml.promotion.guards import GUARDS
from tuning.options import StudyOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        ("val_best/mre_px512", True),
        ("eval/cobb_smape_percent", True),
        ("cost/latency_ms", True),
        ("eval/n_false_vertebrae", True),
        ("eval/missing_per_film", True),
        ("eval/cobb_upper_mae_deg", True),
        ("eval/p95_px512_high", True),
        ("train/loss_heatmap", True),
        ("folds/sdr_6px_sd", True),
        ("noise_floor/grade_accuracy_all", True),
        ("unet fast/noise_floor/sdr_6px", True),
        ("val_best/sdr_6px", False),
        ("eval/sdr_2.5mm", False),
        ("val/instance_sdr_10px640", False),
        ("eval/oks_ap", False),
        ("eval/oks_ap75_low", False),
        ("time/films_per_s", False),
        ("difference_2/grade_accuracy_all", False),
        ("unet lr2e-3 3 1a2b3c4d minus unet 5e6f7a8b/mre_px512_low", True),
        ("difference_2/mre_px512_effect", False),
        ("seeds/sdr_24px_mean", False),
        ("out_of_fold/grade_kappa", False),
    ],
)
def test_the_better_direction_of_a_metric(metric: str, lower: bool) -> None:
    assert lower_is_better(metric) is lower


@pytest.mark.parametrize("metric", ["eval/n_corners", "cost/threads", "eval/mre_px512_n", "eval/slip_set_coverage"])
def test_counts_settings_and_rates_with_a_target_have_no_better_direction(metric: str) -> None:
    with pytest.raises(ConfigError, match=f"neither lower nor higher values of '{metric}' are better"):
        lower_is_better(metric)


@pytest.mark.parametrize(
    ("metric", "label", "unit", "digits"),
    [
        ("eval/sdr_18px_low", "SDR@18", "%", 1),
        ("val/p90_px512", "p90", "px512", 2),
        ("eval/share_side_flip", "error share side flip", "%", 1),
        ("eval/L5-S1/referred_percent", "referred", "%", 1),
        ("eval/grade_2/slip_set_coverage", "slip set coverage", "%", 1),
        ("val_uncertainty/corner_coverage_90_after", "corners in calibrated 90 % region", "%", 1),
        ("cost/peak_gpu_memory_mb", "peak GPU memory", "MB", 0),
        ("audit/check/duplicate", "duplicate", "", 0),
    ],
)
def test_a_name_with_prefix_suffix_or_placeholder_resolves_to_its_metric(
    metric: str, label: str, unit: str, digits: int
) -> None:
    definition = metric_definition(metric)
    assert (definition.label, definition.unit, definition.digits) == (label, unit, digits)


def test_an_unknown_metric_is_an_error_that_suggests_the_nearest() -> None:
    assert find_metric("mine/sharpness") is None
    with pytest.raises(ConfigError, match=r"'val_best/mre_px51' is not in the catalogue.* Did you mean 'mre_px512'\?"):
        metric_definition("val_best/mre_px51")


def test_values_are_formatted_with_the_digits_of_their_metric() -> None:
    assert format_value("mre_px512", 3.14159) == "3.14"
    assert format_value("sdr_6px", 93.456) == "93.5"
    assert format_value("cost/parameters", 8650192.0) == "8,650,192"
    assert format_value("grade_kappa", math.nan) == "none"


def test_each_metric_is_listed_once() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names)) > 80
    for metric in METRICS:
        assert metric.meaning.endswith("."), metric.name
        assert find_metric(metric.name.replace("<k>", "50").replace("<angle>", "main").replace("<number>", "1").replace(
            "<", "").replace(">", "")) is not None, metric.name  # fmt: skip


def test_every_metric_shown_or_compared_is_in_the_catalogue() -> None:
    film = plain_film("a", stacked(10.0, 30.0), (600, 400))
    compared = paired_values(PredictionSet([film], [prediction_of(film, SlotRange(0, 3))]), ClinicalConfig())
    for name in (*compared, *(guard.name for guard in GUARDS)):
        assert metric_definition(name).direction is not Direction.NEITHER, name
    for name in (*LEADERBOARD_METRICS, *COSTS, *RESULTS):
        assert metric_definition(name).label, name


def test_a_study_takes_its_directions_from_the_catalogue() -> None:
    options = StudyOptions(objectives=("sdr_12px", "latency_ms"), sampler="nsga2")
    assert options.directions == ("maximize", "minimize")


def test_the_catalogue_needs_neither_torch_nor_mlflow() -> None:
    code = "import sys, spondylo_ml.evaluation.catalogue; print([m for m in ('torch', 'mlflow') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
