"""Find information that a layout cannot hold, by comparing films with the same films as read back."""

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
    """A kind of information that was lost, and the number of films concerned."""

    what: str
    n_films: int

    def __str__(self) -> str:
        return f"{self.what}: {self.n_films} film(s)"


def losses(before: Sequence[Film], after: Mapping[str, Film]) -> tuple[Loss, ...]:
    """All differences between films and the same films as read back.

    Patients are compared by which films they group. `source` is not compared, since no layout holds it.

    Args:
        before: the original films.
        after: the films as read back, by id of the original film.
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
        yield "source of the spacing"
    if read.pixel_aspect is None and film.pixel_aspect is not None:
        yield "stretch, unknown from here on: slips and angles are withheld"
    elif read.pixel_aspect is not None and not math.isclose(film.pixel_aspect or 0.0, read.pixel_aspect, rel_tol=1e-6):
        yield "stretch: slips and angles of these films will be wrong"
    elif film.aspect_given and not read.aspect_given:
        yield "pixel aspect (a reader will assume the same one)"
    if film.split != read.split:
        yield "part"
    if film.reader != read.reader:
        yield "reader's name"
    if film.sex != read.sex:
        yield "sex"
    if film.age_years != read.age_years:
        yield "age"


def _label_differences(film: Film, read: Film) -> Iterator[str]:
    read_by_slot = {v.slot: v for v in read.vertebrae or ()}
    slots = [v.slot for v in film.vertebrae or ()]
    if len(read_by_slot) != len(slots):
        yield "vertebrae"
    if not read_by_slot.keys() <= set(slots):
        yield "levels, read as others"
    if film.levels_from != read.levels_from:
        yield _level_name_loss(film.levels_from, read.levels_from)
    pairs = [(v, read_by_slot[v.slot]) for v in film.vertebrae or () if v.slot in read_by_slot]
    if any((before.present & ~after.present).any() for before, after in pairs):
        yield "corners"
    if any(_moved(before.corners_xy, after.corners_xy) for before, after in pairs):
        yield "coordinates"
    if any((before.visible != after.visible)[before.present & after.present].any() for before, after in pairs):
        yield "which corners are hidden"


def _level_name_loss(before: str, after: str) -> str:
    """What changed about the source of the level names."""
    if LEVELS_LABELLED not in (before, after):
        return "level names (a reader will assume other ones)"
    if before == LEVELS_LABELLED:
        return "level names (a reader will assume the same ones)"
    return (
        "level names, assumed until here, labelled from here on: the file does not say that S1 may be another vertebra"
    )


def _moved(before_xy: np.ndarray, after_xy: np.ndarray) -> bool:
    difference = np.abs(before_xy - after_xy)
    return bool((difference[~np.isnan(difference)] > TOLERANCE_PX).any())


def _spacing_mm(film: Film) -> tuple[float, float] | None:
    return (film.spacing.x_mm, film.spacing.y_mm) if film.spacing else None


def _companions(patients: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """By film, the films of the same patient."""
    films: dict[str, set[str]] = defaultdict(set)
    for film_id, patient in patients.items():
        films[patient].add(film_id)
    return {film_id: frozenset(films[patient]) for film_id, patient in patients.items()}
