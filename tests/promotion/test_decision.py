"""Champion, challenger or refused: a test for each reason, with values worked out by hand."""

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


def decided(candidate: Contender = CANDIDATE, made: Gain | None = CLEAR, floor: float | None = 1.0) -> Decision:
    return decide(candidate, CHAMPION, made, floor, MARGINS)


def guarded(**changed: float) -> Contender:
    return replace(CANDIDATE, guarded=GUARDED | changed)


def test_a_clear_gain_that_costs_nothing_makes_a_champion_and_says_why() -> None:
    found = decided()
    assert found.verdict is Verdict.CHAMPION
    assert found.against == ()
    assert found.reasons == found.in_favour
    assert found.in_favour[0] == (
        "a gain that excludes zero over version 3 (unet): grade_accuracy_all better by 4.00, "
        "95 % interval of the gain 2.00 to 6.00 (n 400, 80 patients)"
    )
    assert found.in_favour[1] == "the interval of the gain lies above 1, the noise floor between seeds"
    assert len(found.in_favour) == 2 + len(GUARDED), "each guard is told"


@pytest.mark.parametrize("made", [gain(1.0, -0.5, 2.5), gain(1.0, 0.0, 2.0), gain(-3.0, -5.0, -1.0)])
def test_an_interval_that_reaches_zero_is_no_gain(made: Gain) -> None:
    found = decided(made=made, floor=0.0)
    assert found.verdict is Verdict.CHALLENGER
    assert found.against[0].startswith("no gain that excludes zero over version 3 (unet)")


def test_without_a_noise_floor_nothing_replaces_a_champion() -> None:
    found = decided(floor=None)
    assert found.verdict is Verdict.CHALLENGER
    assert found.against == (
        "how far another seed alone moves grade_accuracy_all is not known: give noise_floor, or noise_floor_from=<run "
        "id> of a study with retrain_seeds or of a benchmark",
    )
    told = decide(CANDIDATE, CHAMPION, CLEAR, None, MARGINS, "The store has: noise_floor_from=abc (1.2)").against[0]
    assert told.endswith("or of a benchmark. The store has: noise_floor_from=abc (1.2)")


@pytest.mark.parametrize("floor", [math.nan, math.inf, -1.0])
def test_a_noise_floor_that_is_none_decides_nothing(floor: float) -> None:
    with pytest.raises(ConfigError, match="is not a noise floor; it must be a finite number of at least 0"):
        decided(floor=floor)


def test_where_the_noise_floor_comes_from_is_reported() -> None:
    found = decide(CANDIDATE, CHAMPION, CLEAR, 1.0, MARGINS, "measured by study s 12345678: unet 3 seeds; on a val")
    assert found.in_favour[1] == (
        "the interval of the gain lies above 1, the noise floor between seeds (measured by study s 12345678: unet 3 "
        "seeds; on a val)"
    )


@pytest.mark.parametrize(("floor", "verdict"), [(1.99, "champion"), (2.0, "challenger"), (3.0, "challenger")])
def test_the_whole_interval_must_lie_above_the_noise_floor(floor: float, verdict: str) -> None:
    found = decided(floor=floor)
    assert found.verdict == verdict
    if verdict == "challenger":
        assert found.against == (
            f"the interval of the gain does not lie above {floor:g}, the noise floor between seeds",
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
def test_a_guarded_number_that_is_worse_beyond_its_margin_holds_it_back(
    changed: dict[str, float], sentence: str
) -> None:
    found = decided(guarded(**changed))
    assert found.verdict is Verdict.CHALLENGER
    assert found.against == (sentence,)
    assert found.reasons == found.against


def test_just_within_the_margins_is_no_harm_and_better_is_none_either() -> None:
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
        assert decided(guarded(**changed)).verdict is Verdict.CHAMPION


def test_a_number_that_the_champion_has_may_not_be_lost() -> None:
    found = decided(guarded(calibration_error=math.nan))
    assert found.verdict is Verdict.CHALLENGER
    assert found.against == ("coverage error: the candidate has none, version 3 (unet) has 1.0 points",)


def test_what_neither_has_is_reported_and_holds_nothing_back() -> None:
    absent = {"listhesis_sensitivity_all": math.nan}
    found = decide(guarded(**absent), replace(CHAMPION, guarded=GUARDED | absent), CLEAR, 1.0, MARGINS)
    assert found.verdict is Verdict.CHAMPION
    assert "listhesis sensitivity, all: version 3 (unet) has no such number here, so that nothing was compared" in (
        found.in_favour
    )


def test_all_reasons_are_reported_at_once() -> None:
    found = decided(guarded(detection_recall=90.0, latency_ms=900.0), gain(0.1, -1, 1), None)
    assert found.verdict is Verdict.CHALLENGER
    assert len(found.against) == 4
    assert len(found.in_favour) == 3


def test_other_clinical_rules_hold_it_back() -> None:
    found = decided(replace(CANDIDATE, rules_digest="q" * 64))
    assert found.verdict is Verdict.CHALLENGER
    assert found.against == (
        "its clinical rules (qqqqqqqqqqqq) are not those of version 3 (unet) (rrrrrrrrrrrr), by which both were "
        "evaluated: use another registered_model for models with other rules",
    )


def test_other_films_are_refused_with_both_digests() -> None:
    found = decided(replace(CANDIDATE, films_digest="0123456789abcdef"), None)
    assert found.verdict is Verdict.REFUSED
    assert found.against == (
        "the films are not those of the champion: digest 0123456789ab, the champion's ffffffffffff",
    )


def test_the_same_weights_are_refused() -> None:
    found = decided(replace(CANDIDATE, weights_digest="b" * 64))
    assert found.verdict is Verdict.REFUSED
    assert found.against == ("it is the same model as the champion, version 3 (unet): the weights are equal",)


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (7, "it was trained on patients of 7 of these films: its error is too low"),
        (None, "which films it was trained on is not known, so that it may have seen these"),
    ],
)
def test_films_seen_in_training_are_refused_also_for_the_first_model(seen: int | None, sentence: str) -> None:
    candidate = replace(CANDIDATE, films_seen=seen)
    for champion in (CHAMPION, None):
        found = decide(candidate, champion, CLEAR, 1.0, MARGINS)
        assert found == Decision(Verdict.REFUSED, (sentence,), ())


def test_a_model_that_was_rolled_back_does_not_come_back_by_itself() -> None:
    found = decided(replace(CANDIDATE, rolled_back="on 2026-05-01 (misses L5)"))
    assert found.verdict is Verdict.REFUSED
    assert found.against == (
        "it was champion and was rolled back on 2026-05-01 (misses L5): name it in run_ids to evaluate it again",
    )


def test_what_has_no_interval_is_refused() -> None:
    found = decided(made=gain(3.0, math.nan, math.nan))
    assert found.verdict is Verdict.REFUSED
    assert found.against == ("grade_accuracy_all has no interval on these films (n 400, 80 patients)",)
    assert decided(made=None).against == ("nothing was measured",)


def test_the_first_model_must_beat_the_mean_shape_and_needs_no_noise_floor() -> None:
    better = decide(CANDIDATE, None, gain(60.0, 55.0, 65.0), None, MARGINS)
    assert better.verdict is Verdict.CHAMPION
    assert better.reasons == (
        "there is no champion to compare with",
        "it beats the mean shape: grade_accuracy_all better by 60.00, 95 % interval of the gain 55.00 to 65.00 "
        "(n 400, 80 patients)",
    )
    for made, told in ((gain(1.0, 0.0, 2.0), "better by 1.00"), (gain(-4.0, -6.0, -2.0), "worse by 4.00")):
        worse = decide(CANDIDATE, None, made, 0.0, MARGINS)
        assert worse.verdict is Verdict.REFUSED
        assert worse.against[0].startswith(f"it does not beat the mean shape: grade_accuracy_all {told}, 95 % interval")


@pytest.mark.parametrize(
    ("metric", "expected"), [("mre_px512", (3.0, 1.0, 5.0)), ("grade_accuracy_all", (-3.0, -5.0, -1.0))]
)
def test_a_gain_is_positive_where_the_candidate_is_better(metric: str, expected: tuple[float, ...]) -> None:
    lower = Estimate(value=-3.0, low=-5.0, high=-1.0, n=8, n_patients=4)
    found = gain_of(PairedDifference(metric, lower, 0.1, 1.0, 4, 0, 0))
    assert (found.metric, found.estimate.n) == (metric, 8)
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == expected


def test_a_gain_says_what_it_rests_on_and_calls_synthetic_films_so() -> None:
    estimate = Estimate(value=2.0, low=1.0, high=3.0, n=40, n_absent=3, n_patients=9)
    told = gain_text(Gain("slip_error_percent", estimate, "phantom-0 test, synthetic films"))
    assert told == (
        "slip_error_percent better by 2.00, 95 % interval of the gain 1.00 to 3.00 "
        "(n 40, 3 absent, 9 patients; phantom-0 test, synthetic films)"
    )
