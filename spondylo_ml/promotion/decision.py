"""Champion, challenger or refused: a pure function of what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from spondylo_ml.config.promotion import MarginsConfig
from spondylo_ml.evaluation.catalogue import lower_is_better
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.paired import PairedDifference
from spondylo_ml.evaluation.seed_noise import checked_floor
from spondylo_ml.promotion.guards import GUARDS, check

MEAN_SHAPE = "the mean shape"


class Verdict(StrEnum):
    """What becomes of a candidate: `refused` ones get no version in the registry."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"
    REFUSED = "refused"


@dataclass(frozen=True)
class Standing:
    """What a model is, and what it reached on the frozen films.

    Attributes:
        name: for sentences, such as "version 3 (unet)".
        weights_digest: of its weights; the same ones are the same model.
        films_digest: of the frozen films: pixels, labels and split.
        guarded: of `guarded_values`.
        films_seen: how many of the films are of patients that it was trained on; None where that is not known.
        rules_digest: of the clinical rules that it carries.
        rolled_back: when and why it was taken out of use; empty where it was not, or where it is named all the same.
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
    """By how much the candidate is better than another on the same films, in the metric's unit.

    Attributes:
        estimate: paired, with the interval over patients; above zero where the candidate is better.
        on: the films, in words; says so where they are synthetic.
    """

    metric: str
    estimate: Estimate
    on: str = ""


@dataclass(frozen=True)
class Decision:
    """The verdict in plain sentences.

    Attributes:
        against: what stands against the candidate; empty for a champion.
        in_favour: what was asked and is fulfilled.
    """

    verdict: Verdict
    against: tuple[str, ...]
    in_favour: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Those that decided: for a champion what speaks for it, for others what speaks against them."""
        return self.against or self.in_favour


def gain_of(difference: PairedDifference, on: str = "") -> Gain:
    """A paired difference, candidate less the other, as a gain: above zero is better, whatever the metric."""
    found = difference.difference
    if lower_is_better(difference.metric):
        found = found.model_copy(update={"value": -found.value, "low": -found.high, "high": -found.low})
    return Gain(difference.metric, found, on)


def decide(
    candidate: Standing,
    champion: Standing | None,
    gain: Gain | None,
    noise_floor: float | None,
    margins: MarginsConfig,
    floor_source: str = "",
) -> Decision:
    """What becomes of the candidate.

    Champion: the whole interval of the gain lies above zero and above the noise floor, and no guarded number is worse
    beyond its margin. The very first model needs an interval above zero, over the mean shape. Challenger: comparable
    with the champion, but not all of that. Refused: not comparable, the same model, or no better than the mean shape.

    Args:
        gain: over the champion, or over the mean shape where there is no champion; None where nothing was measured,
            since the films differ.
        noise_floor: how far another seed alone moves the metric, in its unit; None where nobody has measured it.
        floor_source: where the floor comes from, or who has measured one.

    Raises:
        ConfigError: the noise floor is no finite number of at least 0.
    """
    if noise_floor is not None:
        checked_floor(noise_floor, "noise_floor")
    refusals = _refusals(candidate, champion, gain)
    if refusals or gain is None:
        return Decision(Verdict.REFUSED, tuple(refusals), ())
    if champion is None:
        return _first(gain)
    against, in_favour = _on_gain(gain, champion, noise_floor, floor_source)
    if candidate.rules_digest != champion.rules_digest:
        against.append(
            f"its clinical rules ({candidate.rules_digest[:12]}) are not those of "
            f"{champion.name} ({champion.rules_digest[:12]}), by which both were judged: give models of other rules "
            "another registered_model"
        )
    for guard in GUARDS:
        checked = check(guard, candidate.guarded, champion.guarded, margins, champion.name)
        (against if checked.worse else in_favour).append(checked.sentence)
    return Decision(Verdict.CHALLENGER if against else Verdict.CHAMPION, tuple(against), tuple(in_favour))


def gain_text(gain: Gain) -> str:
    """The gain, its interval and what it rests on."""
    e = gain.estimate
    rests_on = f"n {e.n}" + (f", {e.n_absent} absent" if e.n_absent else "") + f", {e.n_patients} patients"
    rests_on += f"; {gain.on}" if gain.on else ""
    change = f"{'worse' if e.value < 0 else 'better'} by {abs(e.value):.2f}"
    return f"{gain.metric} {change}, 95 % interval of the gain {e.low:.2f} to {e.high:.2f} ({rests_on})"


def _refusals(candidate: Standing, champion: Standing | None, gain: Gain | None) -> list[str]:
    reasons = []
    if candidate.rolled_back:
        reasons.append(
            f"it was champion and was rolled back {candidate.rolled_back}: name it in run_ids to judge it again"
        )
    if champion is not None and champion.weights_digest == candidate.weights_digest:
        reasons.append(f"it is the same model as the champion, {champion.name}: the weights are equal")
    if champion is not None and champion.films_digest != candidate.films_digest:
        reasons.append(
            f"the films are not those of the champion: digest {candidate.films_digest[:12]}, "
            f"the champion's {champion.films_digest[:12]}"
        )
    elif candidate.films_seen is None:
        reasons.append("which films it was trained on is not known, so that it may have seen these")
    elif candidate.films_seen:
        reasons.append(f"it was trained on patients of {candidate.films_seen} of these films: its error is too low")
    elif gain is None:
        reasons.append("nothing was measured")
    elif math.isnan(gain.estimate.low):
        reasons.append(
            f"{gain.metric} has no interval on these films (n {gain.estimate.n}, {gain.estimate.n_patients} patients)"
        )
    return reasons


def _first(gain: Gain) -> Decision:
    if gain.estimate.low > 0:
        return Decision(
            Verdict.CHAMPION, (), ("there is no champion to compare with", f"it beats {MEAN_SHAPE}: {gain_text(gain)}")
        )
    return Decision(Verdict.REFUSED, (f"it does not beat {MEAN_SHAPE}: {gain_text(gain)}",), ())


def _on_gain(
    gain: Gain, champion: Standing, noise_floor: float | None, floor_source: str
) -> tuple[list[str], list[str]]:
    over = f"over {champion.name}: {gain_text(gain)}"
    if gain.estimate.low <= 0:
        against, in_favour = [f"no gain that excludes zero {over}"], []
    else:
        against, in_favour = [], [f"a gain that excludes zero {over}"]
    if noise_floor is None:
        against.append(
            f"how far another seed alone moves {gain.metric} is not known: give noise_floor, or noise_floor_from=<run "
            "id> of a study with retrain_seeds or of a benchmark" + (f". {floor_source}" if floor_source else "")
        )
        return against, in_favour
    floor = f"{noise_floor:.4g}, the noise floor between seeds" + (f" ({floor_source})" if floor_source else "")
    if gain.estimate.low <= noise_floor:
        against.append(f"the interval of the gain does not lie above {floor}")
    else:
        in_favour.append(f"the interval of the gain lies above {floor}")
    return against, in_favour
