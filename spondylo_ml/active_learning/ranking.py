"""What becomes of each film: chosen, left, or set aside with the reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from spondylo_ml.active_learning.choice import choose, nearest, standardised
from spondylo_ml.active_learning.film_scores import GradeDoubt, MirrorShift
from spondylo_ml.landmarks import FloatArray


class State(StrEnum):
    """What became of a film."""

    CHOSEN = "chosen"
    LEFT = "not chosen"
    REPEATED = "repeated"
    LABELLED = "labelled"
    REFUSED = "refused"
    UNREADABLE = "not readable"
    UNKNOWN = "no score"


NO_DOUBT = GradeDoubt(math.nan, "", 0, 0)
NO_SHIFT = MirrorShift(math.nan, 0)
NO_FEATURES = np.zeros(0)
NO_SCORE = "no grade probabilities, no corners in both readings, and no distance from another film"


@dataclass(frozen=True)
class ScoredFilm:
    """A film with what the model says of it.

    Attributes:
        film_key: digits that only films with the same pixels have in common; empty if it cannot be read.
        features: (C,), see `Reading`.
        set_aside: why it cannot be chosen; None if it can.
        reason: the same in words.
    """

    film_id: str
    film_key: str = ""
    doubt: GradeDoubt = NO_DOUBT
    shift: MirrorShift = NO_SHIFT
    features: FloatArray = field(default_factory=lambda: NO_FEATURES)
    set_aside: State | None = None
    reason: str = ""


@dataclass(frozen=True)
class LabelledFilms:
    """The films that have labels already.

    Attributes:
        features: (M, C).
        names: name of each by its `film_key`.
    """

    features: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RankedFilm:
    """A film with its place.

    Attributes:
        number: 1 for the film to label first; None if it was not chosen.
        mean_rank: see `Choice`; NaN if it was not chosen.
        nearest_labelled_sd: distance from the nearest labelled film; NaN if unknown.
        nearest_chosen_sd: distance from the nearest film chosen before, or, if it was not chosen, from the nearest of
            all chosen; NaN if unknown.
    """

    film: ScoredFilm
    state: State
    reason: str = ""
    number: int | None = None
    mean_rank: float = math.nan
    nearest_labelled_sd: float = math.nan
    nearest_chosen_sd: float = math.nan


def rank_films(films: Sequence[ScoredFilm], labelled: LabelledFilms, count: int) -> list[RankedFilm]:
    """Choose up to `count` films; all films are returned, the chosen ones first in order, then the others by name."""
    by_name = sorted(films, key=lambda film: film.film_id)
    candidates, others = [], []
    first_of = dict[str, str]()
    for film in by_name:
        ranked = _set_aside(film, labelled, first_of)
        if ranked is None:
            candidates.append(film)
        else:
            others.append(ranked)
    chosen, left = _chosen_and_left(candidates, labelled, count)
    return [*chosen, *sorted([*left, *others], key=lambda one: one.film.film_id)]


def _set_aside(film: ScoredFilm, labelled: LabelledFilms, first_of: dict[str, str]) -> RankedFilm | None:
    """The film with the reason why it cannot be chosen; None if it can, and then later copies of it cannot."""
    if film.set_aside is not None:
        return RankedFilm(film, film.set_aside, film.reason)
    if film.film_key in labelled.names:
        return RankedFilm(film, State.LABELLED, f"the pixels of {labelled.names[film.film_key]}, which has labels")
    if film.film_key in first_of:
        return RankedFilm(film, State.REPEATED, f"the pixels of {first_of[film.film_key]}")
    if film.film_key:
        first_of[film.film_key] = film.film_id
    return None


def _chosen_and_left(
    films: Sequence[ScoredFilm], labelled: LabelledFilms, count: int
) -> tuple[list[RankedFilm], list[RankedFilm]]:
    if not films:
        return [], []
    doubts = np.array([(film.doubt.probability, film.shift.px512) for film in films])
    raw = np.stack([film.features for film in films])
    features, of_labelled = standardised(raw, labelled.features if labelled.names else raw[:0])
    from_labelled = nearest(features, of_labelled)
    choices = list(choose([film.film_id for film in films], doubts, features, from_labelled, count))
    chosen = [
        RankedFilm(
            films[choice.index], State.CHOSEN, "", number, choice.mean_rank, float(from_labelled[choice.index]),
            choice.nearest_chosen_sd,
        )
        for number, choice in enumerate(choices, start=1)
    ]  # fmt: skip
    indices = [choice.index for choice in choices]
    from_chosen = nearest(features, features[indices])
    has_rank = np.isfinite(np.column_stack([doubts, from_labelled, from_chosen])).any(axis=1)
    left = [
        RankedFilm(
            films[index], *((State.LEFT, "") if has_rank[index] else (State.UNKNOWN, NO_SCORE)),
            nearest_labelled_sd=float(from_labelled[index]), nearest_chosen_sd=float(from_chosen[index]),
        )
        for index in range(len(films))
        if index not in indices
    ]  # fmt: skip
    return chosen, left
