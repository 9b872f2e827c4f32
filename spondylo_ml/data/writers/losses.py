"""What a layout did not carry: the films before, against the films as they are read back."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, Film

TOLERANCE_PX = 1e-6


@dataclass(frozen=True)
class Loss:
    """Something that was not carried, and on how many films."""

    what: str
    n_films: int

    def __str__(self) -> str:
        return f"{self.what}: {self.n_films} film(s)"


def losses(before: Sequence[Film], after: Mapping[str, Film]) -> tuple[Loss, ...]:
    """Everything in which films differ once written and read back; `after` by the names of the films before.

    Not compared: `source`, which no layout carries. Patients are compared by which films they group.
    """
    groups_before = _companions({film.film_id: film.patient for film in before if film.film_id in after})
    groups_after = _companions({name: film.patient for name, film in after.items()})
    counts: Counter[str] = Counter()
    for film in before:
        read = after.get(film.film_id)
        counts.update(["films, not written at all"] if read is None else _differences(film, read))
        if groups_before.get(film.film_id) != groups_after.get(film.film_id):
            counts["patient"] += 1
    return tuple(Loss(what, count) for what, count in counts.items())


def _differences(film: Film, read: Film) -> Iterator[str]:
    if film.labelled != read.labelled:
        yield "labels"
    elif film.labelled:
        yield from _label_differences(film, read)
    if film.facing != read.facing:
        yield "facing" if read.facing is Facing.UNKNOWN else "facing, read as another: slips may change their sign"
    if _spacing_mm(film) != _spacing_mm(read):
        yield "spacing"
    elif film.spacing and read.spacing and film.spacing.provenance != read.spacing.provenance:
        yield "who says the spacing"
    if read.pixel_aspect is None and film.pixel_aspect is not None:
        yield "stretch, unknown from here on: slips and angles are withheld"
    elif read.pixel_aspect is not None and not math.isclose(film.pixel_aspect or 0.0, read.pixel_aspect, rel_tol=1e-6):
        yield "stretch: slips and angles of these films will be wrong"
    elif film.aspect_given and not read.aspect_given:
        yield "pixel aspect, right by assumption alone"
    if film.split != read.split:
        yield "part"
    if film.sex != read.sex:
        yield "sex"
    if film.age_years != read.age_years:
        yield "age"


def _label_differences(film: Film, read: Film) -> Iterator[str]:
    now = {v.slot: v for v in read.vertebrae or ()}
    slots = [v.slot for v in film.vertebrae or ()]
    if len(now) != len(slots):
        yield "vertebrae"
    if not now.keys() <= set(slots):
        yield "levels, read as others"
    if film.levels_from != read.levels_from:
        yield _names_now(film.levels_from, read.levels_from)
    both = [(v, now[v.slot]) for v in film.vertebrae or () if v.slot in now]
    if any((one.present & ~other.present).any() for one, other in both):
        yield "corners"
    if any(_moved(one.corners_xy, other.corners_xy) for one, other in both):
        yield "coordinates"
    if any((one.visible != other.visible)[one.present & other.present].any() for one, other in both):
        yield "which corners are hidden"


def _names_now(before: str, after: str) -> str:
    """What became of the reason for the level names."""
    if LEVELS_LABELLED not in (before, after):
        return "level names, by another assumption"
    if before == LEVELS_LABELLED:
        return "level names, right by assumption alone"
    return (
        "level names, assumed until here, labelled from here on: the file does not say that S1 may be another vertebra"
    )


def _moved(one_xy: np.ndarray, other_xy: np.ndarray) -> bool:
    difference = np.abs(one_xy - other_xy)
    return bool((difference[~np.isnan(difference)] > TOLERANCE_PX).any())


def _spacing_mm(film: Film) -> tuple[float, float] | None:
    return (film.spacing.x_mm, film.spacing.y_mm) if film.spacing else None


def _companions(patients: Mapping[str, str]) -> dict[str, frozenset[str]]:
    films_of: dict[str, set[str]] = defaultdict(set)
    for film_id, patient in patients.items():
        films_of[patient].add(film_id)
    return {film_id: frozenset(films_of[patient]) for film_id, patient in patients.items()}
