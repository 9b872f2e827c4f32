"""The decision on a candidate: champion, challenger or refused, as a pure function of measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from spondylo_ml.config.promotion import MarginsConfig
from spondylo_ml.evaluation.catalogue import lower_is_better, metric_definition, unit_of_differences
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.evaluation.run_verdict import SIGNIFICANT_P, smallest_p
from spondylo_ml.evaluation.seed_noise import checked_floor
from spondylo_ml.promotion.guards import GUARDS, check_guard

MEAN_SHAPE = "the mean shape"


class Verdict(StrEnum):
    """The decision on a candidate; a `refused` one gets no version in the registry."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    REFUSED = "refused"


@dataclass(frozen=True)
class Contender:
    """A model that is or may become champion, with its results on the frozen films.

    Attributes:
        name: used in sentences, such as "version 3 (unet)".
        weights_digest: digest of the weights; equal digests mean the same model.
        films_digest: digest of the frozen films: pixels, labels and split.
        guarded: from `guarded_values`.
        films_seen: number of the films whose patients it was trained on; None if unknown.
        rules_digest: digest of the model's clinical rules.
        rolled_back: when and why it was rolled back; empty if it was not, or if the user named it explicitly.
    """

    name: str
    weights_digest: str
    films_digest: str
    guarded: Mapping[str, float]
    films_seen: int | None
    rules_digest: str
    rolled_back: str = ""


@dataclass(frozen=True)
class Gain:
    """How much better a candidate is than another model on the same films, in the unit of the metric.

    Attributes:
        estimate: paired difference with its interval over patients; positive if the candidate is better.
        on: the films in words, including whether they are synthetic.
    """

    metric: str
    estimate: Estimate
    on: str = ""


@dataclass(frozen=True)
class Decision:
    """The verdict with its reasons.

    Attributes:
        against: reasons against the candidate; empty for a champion.
        in_favour: conditions that the candidate meets.
    """

    verdict: Verdict
    against: tuple[str, ...]
    in_favour: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The decisive reasons: in favour of a champion, against any other candidate."""
        return self.against or self.in_favour


def gain_of(difference: PairedDifference, on: str = "") -> Gain:
    """A paired difference, candidate minus other, as a gain: positive is better for every metric."""
    estimate = difference.difference
    if lower_is_better(difference.metric):
        estimate = estimate.model_copy(update={"value": -estimate.value, "low": -estimate.high, "high": -estimate.low})
    return Gain(difference.metric, estimate, on)


def decide(
    candidate: Contender,
    champion: Contender | None,
    gain: Gain | None,
    noise_floor: float | None,
    margins: MarginsConfig,
    floor_source: str = "",
    over_mean_shape: Gain | None = None,
) -> Decision:
    """Decide on a candidate.

    Champion: the interval of the gain lies above zero and above the noise floor, and no guarded metric is worse by more
    than its margin. The first model of all needs only a gain over the mean shape whose interval lies above zero.
    Challenger: comparable with the champion, but not all conditions are met. Refused: not comparable with the champion,
    the same model, or not certainly better than the mean shape, whether or not there is a champion.

    Args:
        gain: over the champion, or over the mean shape if there is no champion; None if it was not measured because
            the films differ.
        noise_floor: change of the metric by the seed alone, in its unit; None if unknown.
        floor_source: where the noise floor comes from, or which runs have measured one.
        over_mean_shape: gain over the mean shape; if there is no champion, `gain` itself is taken.

    Raises:
        ConfigError: the noise floor is negative or not finite.
    """
    if noise_floor is not None:
        checked_floor(noise_floor, "noise_floor")
    refusals = _refusals(candidate, champion, gain)
    over_mean_shape = gain if champion is None else over_mean_shape
    if not refusals:
        refusals = _unless_above_mean_shape(over_mean_shape)
    if refusals or gain is None or over_mean_shape is None:
        return Decision(Verdict.REFUSED, tuple(refusals), ())
    above_mean_shape = f"it beats {MEAN_SHAPE}: {gain_text(over_mean_shape)}"
    if champion is None:
        return Decision(Verdict.CHAMPION, (), ("there is no champion to compare with", above_mean_shape))
    against, in_favour = _on_gain(gain, champion, noise_floor, floor_source)
    in_favour.append(above_mean_shape)
    if candidate.rules_digest != champion.rules_digest:
        against.append(
            f"its clinical rules ({candidate.rules_digest[:12]}) are not those of "
            f"{champion.name} ({champion.rules_digest[:12]}), by which both were evaluated: use another "
            "registered_model for models with other rules"
        )
    for guard in GUARDS:
        result = check_guard(guard, candidate.guarded, champion.guarded, margins, champion.name)
        (against if result.worse else in_favour).append(result.sentence)
    return Decision(Verdict.CHALLENGER if against else Verdict.CHAMPION, tuple(against), tuple(in_favour))


def gain_text(gain: Gain) -> str:
    """The gain with its interval and the number of observations."""
    e = gain.estimate
    counts = f"n {e.n}" + (f", {e.n_absent} absent" if e.n_absent else "") + f", {e.n_patients} patients"
    counts += f"; {gain.on}" if gain.on else ""
    change = f"{'worse' if e.value < 0 else 'better'} by {_with_unit(f'{abs(e.value):.2f}', gain)}"
    return f"{_label(gain)} {change}, 95 % interval of the gain {e.low:.2f} to {e.high:.2f} ({counts})"


def _with_unit(difference: str, gain: Gain) -> str:
    return f"{difference} {unit_of_differences(gain.metric)}".rstrip()


def _label(gain: Gain) -> str:
    """The metric as the pages name it."""
    return metric_definition(gain.metric).label


def _refusals(candidate: Contender, champion: Contender | None, gain: Gain | None) -> list[str]:
    reasons = []
    if candidate.rolled_back:
        reasons.append(
            f"it was champion and was rolled back {candidate.rolled_back}: name it in run_ids to evaluate it again"
        )
    if champion is not None and champion.weights_digest == candidate.weights_digest:
        reasons.append(f"it is the same model as the champion, {champion.name}: the weights are equal")
    if champion is not None and champion.films_digest != candidate.films_digest:
        reasons.append(
            f"the films are not those of the champion: digest {candidate.films_digest[:12]}, "
            f"the champion's {champion.films_digest[:12]}"
        )
    elif candidate.films_seen is None:
        reasons.append("not all films that it was trained on are known, so it may have seen these")
    elif candidate.films_seen:
        reasons.append(f"it was trained on patients of {candidate.films_seen} of these films: its error is too low")
    elif gain is None:
        reasons.append("nothing was measured")
    elif without := _without_trusted_interval(gain):
        reasons.append(without)
    return reasons


def _unless_above_mean_shape(gain: Gain | None) -> list[str]:
    """Reasons to refuse a model that is not certainly better than the mean shape, champion or not."""
    if gain is None:
        return [f"no gain over {MEAN_SHAPE} was measured"]
    if without := _without_trusted_interval(gain):
        return [without]
    return [] if gain.estimate.low > 0 else [f"it does not beat {MEAN_SHAPE}: {gain_text(gain)}"]


def _without_trusted_interval(gain: Gain) -> str:
    """Why the gain has no interval that could decide; empty if it has one, or the interval holds a loss anyway."""
    e = gain.estimate
    if e.low <= 0:
        return ""
    if smallest_p(e.n_patients) >= SIGNIFICANT_P:
        what = f"{e.n_patients} patient(s) are too few to be sure of a gain, even if it is the same for all of them"
        return f"{_label(gain)}: {what}: train with a larger data.test_fraction, or label films of more patients"
    if math.isnan(e.low):
        return f"{_label(gain)} has no interval on these films (n {e.n}, {e.n_patients} patients)"
    return ""


def _on_gain(
    gain: Gain, champion: Contender, noise_floor: float | None, floor_source: str
) -> tuple[list[str], list[str]]:
    over = f"over {champion.name}: {gain_text(gain)}"
    if gain.estimate.low <= 0:
        against, in_favour = [f"no gain that excludes zero {over}"], []
    else:
        against, in_favour = [], [f"a gain that excludes zero {over}"]
    if noise_floor is None:
        against.append(
            f"how far another seed alone moves '{_label(gain)}' is unknown: give noise_floor, or noise_floor_from=<run "
            "id> of a study with retrain_seeds or of a benchmark" + (f". {floor_source}" if floor_source else "")
        )
        return against, in_favour
    source = f" ({floor_source})" if floor_source else ""
    floor = f"{_with_unit(f'{noise_floor:.4g}', gain)}, the noise floor between seeds{source}"
    if gain.estimate.low <= noise_floor:
        against.append(f"the interval of the gain does not lie above {floor}")
    else:
        in_favour.append(f"the interval of the gain lies above {floor}")
    return against, in_favour
