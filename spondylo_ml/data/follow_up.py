"""Which films of a patient to compare: flexion with extension, and each visit with the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from spondylo_ml.errors import FileError

HIGHEST_VISIT = 999


class Position(StrEnum):
    """How the patient stood or lay when the film was taken."""

    NEUTRAL = "neutral"
    FLEXION = "flexion"
    EXTENSION = "extension"
    UNSTATED = ""


class PairKind(StrEnum):
    """Why two films are compared."""

    FLEXION_EXTENSION = "flexion-extension"
    FOLLOW_UP = "follow-up"


ALONE = "no other film of this patient in the same films.csv is among those given"
NO_COUNTERPART = (
    "no other film of this patient is in the same position at another visit, or in the opposite one (flexion, "
    "extension) at this visit"
)


@dataclass(frozen=True)
class FilmOfPatient:
    """What is stated about a film for comparisons.

    Attributes:
        film_id: pseudonym of the film.
        patient: pseudonym of the patient; empty if none is stated.
        visit: number that orders the patient's visits; None if none is stated.
        table: the table that states it; patients of different tables are different persons.
    """

    film_id: str
    patient: str
    visit: int | None
    position: Position
    table: Hashable = ""

    def __str__(self) -> str:
        visit = "" if self.visit is None else f"visit {self.visit}"
        return ", ".join(part for part in (visit, self.position.value) if part) or "no visit or position"


@dataclass(frozen=True)
class FilmPair:
    """Two films of one patient; a change is that from `before` to `after`: from extension to flexion, or over time."""

    kind: PairKind
    before: FilmOfPatient
    after: FilmOfPatient


@dataclass(frozen=True)
class NotCompared:
    """A film that is compared with no other, and why."""

    film_id: str
    reason: str


@dataclass(frozen=True)
class FilmPairs:
    """The pairs, and the films that state a visit or a position but are in no pair."""

    pairs: tuple[FilmPair, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()


def film_pairs(films: Sequence[FilmOfPatient]) -> FilmPairs:
    """Pair the films of each patient.

    Of one visit, extension and flexion are compared. Over time, films in the same position are compared with those of
    the visit before, and those of the last with those of the first visit. Patients whose films state neither visit nor
    position are left alone.
    """
    by_patient: dict[Hashable, list[FilmOfPatient]] = defaultdict(list)
    pairs: list[FilmPair] = []
    left_out: dict[str, str] = {}
    for film in films:
        if film.patient:
            by_patient[film.table, film.patient].append(film)
        elif film.visit is not None or film.position:
            left_out[film.film_id] = "no patient is stated"
    for group in by_patient.values():
        if any(film.visit is not None or film.position for film in group):
            usable, unusable = _unambiguous(group)
            found = [*_flexion_extension(usable), *_follow_up(usable)]
            paired = {film.film_id for pair in found for film in (pair.before, pair.after)}
            alone = {
                film.film_id: ALONE if len(group) == 1 else NO_COUNTERPART
                for film in usable
                if film.film_id not in paired
            }
            pairs += found
            left_out |= unusable | alone
    return FilmPairs(tuple(pairs), tuple(NotCompared(*item) for item in left_out.items()))


def parse_visit(cell: str, file: str, where: str) -> int | None:
    """The number of a visit; None for an empty cell.

    Raises:
        FileError: not a whole number from 0 to `HIGHEST_VISIT`.
    """
    if not cell:
        return None
    try:
        number = float(cell)
    except ValueError:
        number = -1.0
    if not (0 <= number <= HIGHEST_VISIT and number.is_integer()):
        raise FileError(
            file,
            f"{where}: visit must be a whole number from 0 to {HIGHEST_VISIT} that orders the patient's visits, not a "
            "date, which results would show",
            f", found {cell[:20]!r}",
        )
    return int(number)


def parse_position(cell: str, file: str, where: str) -> Position:
    """A position by name; `FileError` for any other word."""
    word = cell.strip().lower()
    if word not in set(Position):
        allowed = ", ".join(position for position in Position if position)
        raise FileError(file, f"{where}: position must be one of {allowed}, or left out", f", found {cell[:20]!r}")
    return Position(word)


def _unambiguous(group: Sequence[FilmOfPatient]) -> tuple[list[FilmOfPatient], dict[str, str]]:
    """The films of a patient that can be compared, and why the others cannot, by film."""
    some_visit = any(film.visit is not None for film in group)
    by_place: dict[Hashable, list[FilmOfPatient]] = defaultdict(list)
    unusable = {}
    for film in group:
        if some_visit and film.visit is None:
            unusable[film.film_id] = "no visit is stated, unlike on other films of this patient"
        else:
            by_place[film.visit, film.position].append(film)
    for films in by_place.values():
        if len(films) > 1:
            reason = f"{len(films)} films of this patient have the same visit and position ({films[0]})"
            unusable |= {film.film_id: reason for film in films}
    return [film for film in group if film.film_id not in unusable], unusable


def _flexion_extension(films: Sequence[FilmOfPatient]) -> list[FilmPair]:
    flexions = {film.visit: film for film in films if film.position is Position.FLEXION}
    extensions = [film for film in films if film.position is Position.EXTENSION and film.visit in flexions]
    return [FilmPair(PairKind.FLEXION_EXTENSION, film, flexions[film.visit]) for film in extensions]


def _follow_up(films: Sequence[FilmOfPatient]) -> list[FilmPair]:
    pairs: list[tuple[FilmOfPatient, FilmOfPatient]] = []
    for position in Position:
        alike = sorted((f for f in films if f.position is position and f.visit is not None), key=lambda f: f.visit or 0)
        pairs += list(pairwise(alike))
        if len(alike) > 2:
            pairs.append((alike[0], alike[-1]))
    return [FilmPair(PairKind.FOLLOW_UP, *pair) for pair in pairs]
