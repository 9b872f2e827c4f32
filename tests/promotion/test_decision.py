"""Champion, challenger or refused: a test for each reason, with values computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from spondylo_ml.config import MarginsConfig
from spondylo_ml.errors import ConfigError
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.promotion.decision import Contender, Decision, Gain, Verdict, decide, gain_of, gain_text

GUARDED = {
    "detection_recall": 98.0,
    "listhesis_sensitivity_all": 80.0,
    "worst_source_px512": 10.0,
    "latency_ms": 200.0,
    "calibration_error": 1.0,
}
CANDIDATE = Contender("new 1234", "a" * 64, "f" * 64, GUARDED, 0, "r" * 64)
CHAMPION = replace(CANDIDATE, name="version 3 (unet)", weights_digest="b" * 64)
MARGINS = MarginsConfig()


def gain(value: float, low: float, high: float) -> Gain:
    return Gain("grade_accuracy_all", Estimate(value=value, low=low, high=high, n=400, n_patients=80))


CLEAR = gain(4.0, 2.0, 6.0)
OVER_MEAN_SHAPE = Gain("mre_px512", Estimate(value=30.0, low=25.0, high=35.0, n=400, n_patients=80))


def decide_on(
    candidate: Contender = CANDIDATE, measured_gain: Gain | None = CLEAR, floor: float | None = 1.0
) -> Decision:
    return decide(candidate, CHAMPION, measured_gain, floor, MARGINS, over_mean_shape=OVER_MEAN_SHAPE)


def guarded(**changed: float) -> Contender:
    return replace(CANDIDATE, guarded=GUARDED | changed)


def test_a_clear_gain_within_all_margins_makes_a_champion() -> None:
    decision = decide_on()
    assert decision.verdict is Verdict.CHAMPION
    assert decision.against == ()
    assert decision.reasons == decision.in_favour
    assert decision.in_favour[0] == (
        "a gain that excludes zero over version 3 (unet): grade right better by 4.00 points, "
        "95 % interval of the gain 2.00 to 6.00 (n 400, 80 patients)"
    )
    assert decision.in_favour[1] == "the interval of the gain lies above 1 points, the noise floor between seeds"
    assert decision.in_favour[2] == (
        "it beats the mean shape: MRE better by 30.00 px512, 95 % interval of the gain 25.00 to 35.00 "
        "(n 400, 80 patients)"
    )
    assert len(decision.in_favour) == 3 + len(GUARDED), "each guarded metric is listed"


@pytest.mark.parametrize("measured_gain", [gain(1.0, -0.5, 2.5), gain(1.0, 0.0, 2.0), gain(-3.0, -5.0, -1.0)])
def test_an_interval_that_reaches_zero_is_no_gain(measured_gain: Gain) -> None:
    decision = decide_on(measured_gain=measured_gain, floor=0.0)
    assert decision.verdict is Verdict.CHALLENGER
    assert decision.against[0].startswith("no gain that excludes zero over version 3 (unet)")


def test_without_a_noise_floor_nothing_replaces_a_champion() -> None:
    decision = decide_on(floor=None)
    assert decision.verdict is Verdict.CHALLENGER
    assert decision.against == (
        "how far another seed alone moves 'grade right' is unknown: give noise_floor, or noise_floor_from=<run "
        "id> of a study with retrain_seeds or of a benchmark",
    )
    hint = "The store has: noise_floor_from=abc (1.2)"
    reason = decide(CANDIDATE, CHAMPION, CLEAR, None, MARGINS, hint, OVER_MEAN_SHAPE).against[0]
    assert reason.endswith("or of a benchmark. The store has: noise_floor_from=abc (1.2)")


@pytest.mark.parametrize("floor", [math.nan, math.inf, -1.0])
def test_an_invalid_noise_floor_is_an_error(floor: float) -> None:
    with pytest.raises(ConfigError, match="is not a noise floor; it must be a finite number of at least 0"):
        decide_on(floor=floor)


def test_the_source_of_the_noise_floor_is_reported() -> None:
    source = "measured by study s 12345678: unet 3 seeds; on a val"
    decision = decide(CANDIDATE, CHAMPION, CLEAR, 1.0, MARGINS, source, OVER_MEAN_SHAPE)
    assert decision.in_favour[1] == (
        "the interval of the gain lies above 1 points, the noise floor between seeds (measured by study s 12345678: "
        "unet 3 seeds; on a val)"
    )


@pytest.mark.parametrize(("floor", "verdict"), [(1.99, "champion"), (2.0, "challenger"), (3.0, "challenger")])
def test_the_whole_interval_must_lie_above_the_noise_floor(floor: float, verdict: str) -> None:
    decision = decide_on(floor=floor)
    assert decision.verdict == verdict
    if verdict == "challenger":
        assert decision.against == (
            f"the interval of the gain does not lie above {floor:g} points, the noise floor between seeds",
        )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"detection_recall": 96.9},
            "detection recall 96.9 %, of version 3 (unet) 98.0 %: 1.1 percentage points worse, allowed 1",
        ),
        (
            {"listhesis_sensitivity_all": 77.5},
            "listhesis sensitivity, all 77.5 %, of version 3 (unet) 80.0 %: 2.5 percentage points worse, allowed 2",
        ),
        (
            {"worst_source_px512": 11.5},
            "MRE of the worst source 11.50 px512, of version 3 (unet) 10.00 px512: 1.5 px512 worse, allowed 1",
        ),
        (
            {"latency_ms": 260.0},
            "time per film 260.0 ms, of version 3 (unet) 200.0 ms: 30.0 percent worse, allowed 25",
        ),
        (
            {"calibration_error": 4.5},
            "coverage error 4.5 points, of version 3 (unet) 1.0 points: 3.5 percentage points worse, allowed 3",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_guarded_metric_worse_than_its_margin_prevents_promotion(changed: dict[str, float], sentence: str) -> None:
    decision = decide_on(guarded(**changed))
    assert decision.verdict is Verdict.CHALLENGER
    assert decision.against == (sentence,)
    assert decision.reasons == decision.against


def test_guarded_metrics_at_their_margin_or_better_do_not_prevent_promotion() -> None:
    at_margin = {
        "detection_recall": 97.0,
        "listhesis_sensitivity_all": 78.0,
        "worst_source_px512": 11.0,
        "latency_ms": 250.0,
        "calibration_error": 4.0,
    }
    better = {
        "detection_recall": 100.0,
        "listhesis_sensitivity_all": 99.0,
        "worst_source_px512": 1.0,
        "latency_ms": 1.0,
        "calibration_error": 0.0,
    }
    for changed in (at_margin, better):
        assert decide_on(guarded(**changed)).verdict is Verdict.CHAMPION


def test_a_guarded_metric_that_only_the_champion_has_prevents_promotion() -> None:
    decision = decide_on(guarded(calibration_error=math.nan))
    assert decision.verdict is Verdict.CHALLENGER
    assert decision.against == ("coverage error: the candidate has none, version 3 (unet) has 1.0 points",)


def test_a_guarded_metric_that_neither_has_is_reported_and_ignored() -> None:
    absent = {"listhesis_sensitivity_all": math.nan}
    champion = replace(CHAMPION, guarded=GUARDED | absent)
    decision = decide(guarded(**absent), champion, CLEAR, 1.0, MARGINS, over_mean_shape=OVER_MEAN_SHAPE)
    assert decision.verdict is Verdict.CHAMPION
    assert "listhesis sensitivity, all: version 3 (unet) has no such number here, so that nothing was compared" in (
        decision.in_favour
    )


def test_all_reasons_are_reported_at_once() -> None:
    decision = decide_on(guarded(detection_recall=90.0, latency_ms=900.0), gain(0.1, -1, 1), None)
    assert decision.verdict is Verdict.CHALLENGER
    assert len(decision.against) == 4
    assert len(decision.in_favour) == 4


def test_different_clinical_rules_prevent_promotion() -> None:
    decision = decide_on(replace(CANDIDATE, rules_digest="q" * 64))
    assert decision.verdict is Verdict.CHALLENGER
    assert decision.against == (
        "its clinical rules (qqqqqqqqqqqq) are not those of version 3 (unet) (rrrrrrrrrrrr), by which both were "
        "evaluated: use another registered_model for models with other rules",
    )


def test_different_films_are_refused_with_both_digests() -> None:
    decision = decide_on(replace(CANDIDATE, films_digest="0123456789abcdef"), None)
    assert decision.verdict is Verdict.REFUSED
    assert decision.against == (
        "the films are not those of the champion: digest 0123456789ab, the champion's ffffffffffff",
    )


def test_the_same_weights_are_refused() -> None:
    decision = decide_on(replace(CANDIDATE, weights_digest="b" * 64))
    assert decision.verdict is Verdict.REFUSED
    assert decision.against == ("it is the same model as the champion, version 3 (unet): the weights are equal",)


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (7, "it was trained on patients of 7 of these films: its error is too low"),
        (None, "not all films that it was trained on are known, so it may have seen these"),
    ],
)
def test_films_seen_in_training_are_refused_even_for_the_first_model(seen: int | None, sentence: str) -> None:
    candidate = replace(CANDIDATE, films_seen=seen)
    for champion in (CHAMPION, None):
        decision = decide(candidate, champion, CLEAR, 1.0, MARGINS)
        assert decision == Decision(Verdict.REFUSED, (sentence,), ())


def test_a_model_that_was_rolled_back_must_be_named_to_be_evaluated_again() -> None:
    decision = decide_on(replace(CANDIDATE, rolled_back="on 2026-05-01 (misses L5)"))
    assert decision.verdict is Verdict.REFUSED
    assert decision.against == (
        "it was champion and was rolled back on 2026-05-01 (misses L5): name it in run_ids to evaluate it again",
    )


def test_a_gain_without_an_interval_is_refused() -> None:
    decision = decide_on(measured_gain=gain(3.0, math.nan, math.nan))
    assert decision.verdict is Verdict.REFUSED
    assert decision.against == ("grade right has no interval on these films (n 400, 80 patients)",)
    assert decide_on(measured_gain=None).against == ("nothing was measured",)


@pytest.mark.parametrize(("n_patients", "refused"), [(1, True), (2, True), (5, True), (6, False)])
def test_a_gain_on_too_few_patients_is_refused(n_patients: int, refused: bool) -> None:
    """Five patients who all gain have a two-sided p of 1/16, six one of 1/32."""
    low, high = (math.nan, math.nan) if n_patients == 1 else (25.0, 25.0)
    estimate = Estimate(value=25.0, low=low, high=high, n=16, n_patients=n_patients)
    decision = decide_on(measured_gain=Gain("grade_accuracy_all", estimate))
    assert (decision.verdict is Verdict.REFUSED) == refused
    assert decision.against == (
        (
            f"grade right: {n_patients} patient(s) are too few to be sure of a gain, even if it is the same for all of "
            "them: train with a larger data.test_fraction, or label films of more patients",
        )
        if refused
        else ()
    )


def test_the_first_model_must_beat_the_mean_shape_and_needs_no_noise_floor() -> None:
    better = decide(CANDIDATE, None, gain(60.0, 55.0, 65.0), None, MARGINS)
    assert better.verdict is Verdict.CHAMPION
    assert better.reasons == (
        "there is no champion to compare with",
        "it beats the mean shape: grade right better by 60.00 points, 95 % interval of the gain 55.00 to 65.00 "
        "(n 400, 80 patients)",
    )
    for measured_gain, text in ((gain(1.0, 0.0, 2.0), "better by 1.00"), (gain(-4.0, -6.0, -2.0), "worse by 4.00")):
        worse = decide(CANDIDATE, None, measured_gain, 0.0, MARGINS)
        assert worse.verdict is Verdict.REFUSED
        assert worse.against[0].startswith(f"it does not beat the mean shape: grade right {text} points, 95 % interval")


@pytest.mark.parametrize(
    ("mean_shape", "sentence"),
    [
        (gain(-20.0, -25.0, -15.0), "it does not beat the mean shape: grade right worse by 20.00"),
        (gain(1.0, 0.0, 2.0), "it does not beat the mean shape: grade right better by 1.00"),
        (gain(3.0, math.nan, math.nan), "grade right has no interval on these films"),
        (None, "no gain over the mean shape was measured"),
    ],
)
def test_beside_a_champion_too_a_model_must_beat_the_mean_shape(mean_shape: Gain | None, sentence: str) -> None:
    for measured_gain, floor in ((CLEAR, 1.0), (gain(-4.0, -6.0, -2.0), None)):
        decision = decide(CANDIDATE, CHAMPION, measured_gain, floor, MARGINS, over_mean_shape=mean_shape)
        assert decision.verdict is Verdict.REFUSED
        assert len(decision.against) == 1
        assert decision.against[0].startswith(sentence)


@pytest.mark.parametrize(
    ("metric", "expected"), [("mre_px512", (3.0, 1.0, 5.0)), ("grade_accuracy_all", (-3.0, -5.0, -1.0))]
)
def test_a_gain_is_positive_where_the_candidate_is_better(metric: str, expected: tuple[float, ...]) -> None:
    lower = Estimate(value=-3.0, low=-5.0, high=-1.0, n=8, n_patients=4)
    measured_gain = gain_of(PairedDifference(metric, lower, 0.1, 1.0, 4, 0, 0))
    assert (measured_gain.metric, measured_gain.estimate.n) == (metric, 8)
    assert (measured_gain.estimate.value, measured_gain.estimate.low, measured_gain.estimate.high) == expected


def test_a_gain_states_its_sample_size_and_films() -> None:
    estimate = Estimate(value=2.0, low=1.0, high=3.0, n=40, n_absent=3, n_patients=9)
    text = gain_text(Gain("slip_error_percent", estimate, "phantom-0 test, synthetic films"))
    assert text == (
        "slip error better by 2.00 points, 95 % interval of the gain 1.00 to 3.00 "
        "(n 40, 3 absent, 9 patients; phantom-0 test, synthetic films)"
    )
