"""The findings of a diagnosis and their order."""

from __future__ import annotations

from spondylo_ml.diagnosis.dead_channels import LayerChannels
from spondylo_ml.diagnosis.findings import CAUSES, dead_in, findings
from spondylo_ml.diagnosis.gradients import GradientCensus
from spondylo_ml.diagnosis.results import CheckOutcome, CheckResult
from spondylo_ml.evaluation.error_causes import KINDS

NAN = float("nan")
NO_ERROR = dict.fromkeys(KINDS, NAN)
ALIVE = LayerChannels("up", "ReLU", 8, (), ())
NO_FAULTS = GradientCensus({"heatmap": 1.0}, (), (), (), ())


def test_every_kind_of_error_has_an_explanation() -> None:
    assert tuple(CAUSES) == ("localisation", "level_shift", "side_flip", "corner_swap", "missed", "false")
    assert set(CAUSES) == set(KINDS)


def test_a_model_without_faults_has_no_findings() -> None:
    assert findings([], NO_FAULTS, [ALIVE], NO_ERROR, NO_ERROR, 0.0) == []
    assert findings([], None, [], NO_ERROR, NO_ERROR, 0.0) == []


def test_failed_checks_come_first_then_error_causes_by_share() -> None:
    failed = CheckResult("flip", CheckOutcome.FAILED, "3 slips change", advice="Exchange the corners.")
    passed = CheckResult("oracle", CheckOutcome.PASSED, "fine")
    shares = {**NO_ERROR, "missed": 20.0, "level_shift": 60.0, "localisation": 14.9}
    error_if_fixed = dict.fromkeys(KINDS, 5.0) | {"level_shift": 8.0}
    ordered = findings([passed, failed], NO_FAULTS, [ALIVE], shares, error_if_fixed, 20.0)
    assert [finding.title for finding in ordered] == ["check flip failed", "error: level shift", "error: missed"]
    assert ordered[0].advice == "Exchange the corners."
    assert ordered[1].seen == (
        "60 % of the summed error. The mean error is 20.0 px512; with this fixed it would be 8.0."
    )
    assert "heatmap.levels=chain" in ordered[1].advice


def test_dead_channels_are_reported_with_the_worst_layers() -> None:
    half, few = LayerChannels("a", "ReLU", 8, (0, 1, 2), (3,)), LayerChannels("b", "ReLU", 100, (1,), ())
    assert dead_in([half, few, ALIVE]) == (5, 116)
    (finding,) = findings([], NO_FAULTS, [few, half], NO_ERROR, NO_ERROR, 0.0)
    assert finding.seen.startswith("5 of 108 channels are zero or constant on the films examined; 1 layers")
    assert "the most: a (4 of 8)." in finding.seen
    assert "training.learning_rate" in finding.advice
    (finding,) = findings([], NO_FAULTS, [few], NO_ERROR, NO_ERROR, 0.0)
    assert finding.advice == "None needed."


def test_unused_parameters_and_zero_gradients_are_separate_findings() -> None:
    census = GradientCensus({}, (), ("a", "b", "c"), ("c",), ("d",))
    unused, silent = findings([], census, [], NO_ERROR, NO_ERROR, 0.0)
    assert unused.seen == "2 parameter tensors get no gradient from any part of the loss."
    assert silent.seen == "The gradient of 1 parameter tensors is exactly 0 on the films tried."
