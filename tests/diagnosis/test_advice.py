"""What is told of a diagnosis, and in which order."""

from __future__ import annotations

from spondylo_ml.diagnosis.dead_channels import LayerChannels
from spondylo_ml.diagnosis.findings import CAUSES, dead_in, findings
from spondylo_ml.diagnosis.gradients import GradientCensus
from spondylo_ml.diagnosis.results import CheckOutcome, CheckResult
from spondylo_ml.evaluation.error_causes import KINDS

NAN = float("nan")
NO_ERROR = dict.fromkeys(KINDS, NAN)
ALIVE = LayerChannels("up", "ReLU", 8, (), ())
SOUND = GradientCensus({"heatmap": 1.0}, (), (), (), ())


def test_every_kind_of_error_has_its_meaning() -> None:
    assert tuple(CAUSES) == ("localisation", "level_shift", "side_flip", "corner_swap", "missed", "false")
    assert set(CAUSES) == set(KINDS)


def test_a_model_without_a_fault_has_no_finding() -> None:
    assert findings([], SOUND, [ALIVE], NO_ERROR, NO_ERROR, 0.0) == []
    assert findings([], None, [], NO_ERROR, NO_ERROR, 0.0) == []


def test_failed_checks_come_first_then_the_causes_by_their_share() -> None:
    check = CheckResult("flip", CheckOutcome.FAILED, "3 slips change", advice="Exchange the corners.")
    passed = CheckResult("oracle", CheckOutcome.PASSED, "fine")
    shares = {**NO_ERROR, "missed": 20.0, "level_shift": 60.0, "localisation": 14.9}
    fixed = dict.fromkeys(KINDS, 5.0) | {"level_shift": 8.0}
    found = findings([passed, check], SOUND, [ALIVE], shares, fixed, 20.0)
    assert [one.title for one in found] == ["check flip failed", "error: level shift", "error: missed"]
    assert found[0].advice == "Exchange the corners."
    assert found[1].seen == ("60 % of the summed error. The mean error is 20.0 px512; with this fixed it would be 8.0.")
    assert "heatmap.levels=chain" in found[1].advice


def test_dead_channels_are_reported_with_the_worst_layers_or_as_usual() -> None:
    half, few = LayerChannels("a", "ReLU", 8, (0, 1, 2), (3,)), LayerChannels("b", "ReLU", 100, (1,), ())
    assert dead_in([half, few, ALIVE]) == (5, 116)
    (found,) = findings([], SOUND, [few, half], NO_ERROR, NO_ERROR, 0.0)
    assert found.seen.startswith("5 of 108 channels are zero or constant on the films examined; 1 layers")
    assert "the most: a (4 of 8)." in found.seen
    assert "training.learning_rate" in found.advice
    (found,) = findings([], SOUND, [few], NO_ERROR, NO_ERROR, 0.0)
    assert found.advice == "None needed."


def test_parameters_out_of_use_and_without_a_gradient_are_reported_apart() -> None:
    census = GradientCensus({}, (), ("a", "b", "c"), ("c",), ("d",))
    unused, silent = findings([], census, [], NO_ERROR, NO_ERROR, 0.0)
    assert unused.seen == "2 parameter tensors get no gradient from any part of the loss."
    assert silent.seen == "The gradient of 1 parameter tensors is exactly 0 on the films tried."
