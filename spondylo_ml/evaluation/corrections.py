"""What people corrected in a model's drafts: corners moved, vertebrae renamed, added and removed.

A drafted and a corrected vertebra belong together if they match by position, as in an evaluation (`matching`); of the
others, if they have the same level: such a vertebra was moved by more than half of its shorter side. What is left was
added or removed.

A film without any correction is untouched. That is no proof that somebody looked at it: it counts as reviewed only if
its labels name a person as their reader, or were submitted by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from spondylo_ml.clinical.spacing_plausibility import plausible_spacing
from spondylo_ml.data.corrected_drafts import PERSON
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.corner_table import to_mm, to_px512
from spondylo_ml.evaluation.matching import match_film
from spondylo_ml.evaluation.reader_agreement import as_prediction
from spondylo_ml.landmarks import CORNERS, Film, FloatArray, SlotRange, Vertebra, patient_corners

KEPT, MOVED, ADDED, REMOVED, RENAMED = "kept", "moved", "added", "removed", "renamed"
MOVED_AND_RENAMED = f"{MOVED} and {RENAMED}"
"""Changes of a vertebra; of a corner the first four."""


class CornerChange(NamedTuple):
    """A corner of a vertebra that was kept. The distance is 0 for a kept corner, NaN for one that one side lacks."""

    film_id: str
    draft_level: str
    level: str
    corner: str
    patient_corner: str
    change: str
    draft_x_px: float
    draft_y_px: float
    x_px: float
    y_px: float
    distance_px: float
    distance_px512: float
    distance_mm: float


class BodyChange(NamedTuple):
    """A vertebra; a level is empty where it was not drafted, or not kept. `largest_`: distance of a corner."""

    film_id: str
    draft_level: str
    level: str
    change: str
    corners_moved: int = 0
    corners_added: int = 0
    corners_removed: int = 0
    largest_px: float = math.nan
    largest_px512: float = math.nan
    largest_mm: float = math.nan


class FilmChange(NamedTuple):
    """A film: whether it was corrected and reviewed, whom its labels name, and numbers of corrections."""

    film_id: str
    patient: str
    corrected: bool
    signature: str
    reviewed: bool
    corners_moved: int
    corners_added: int
    corners_removed: int
    renamed: int
    added: int
    removed: int
    largest_px512: float


@dataclass(frozen=True)
class Corrections:
    """The corrections of films.

    Attributes:
        bodies: one row per drafted or corrected vertebra, with the fields of `BodyChange`.
        corners: one row per corner, with those of `CornerChange`.
        films: one row per film, with those of `FilmChange`.
    """

    bodies: pd.DataFrame
    corners: pd.DataFrame
    films: pd.DataFrame


class CorrectedBody(NamedTuple):
    """A vertebra before and after its correction; one of the two is None if it was added or removed."""

    draft: Vertebra | None
    corrected: Vertebra | None

    @property
    def slot(self) -> int:
        """The corrected level, else the drafted one."""
        either = self.corrected or self.draft
        assert either is not None
        return either.slot


def corrections_of(
    drafts: Sequence[Film], corrected: Sequence[Film], signatures: Sequence[str], moved_px: float
) -> Corrections:
    """Compare drafts with the same films as they were corrected.

    Args:
        drafts, corrected: the same films in the same order, all with labels.
        signatures: for each film, whom its labels name as their reader (`corrected_drafts.signature_of`).
        moved_px: distance in px of the film above which a corner counts as moved; less is the rounding of a file.

    Raises:
        DataError: the films are not the same, or one has no labels.
    """
    if [film.film_id for film in drafts] != [film.film_id for film in corrected]:
        raise DataError("corrections need the same films in the same order as the drafts")
    bodies, corners, films = list[BodyChange](), list[CornerChange](), list[FilmChange]()
    for draft, film, signature in zip(drafts, corrected, signatures, strict=True):
        film = replace(film, spacing=plausible_spacing(film))
        of_film = []
        for body in corrected_bodies(draft, film):
            changes = _corner_changes(film, body, moved_px)
            of_film.append(_body_change(film.film_id, body, changes))
            corners += changes
        bodies += of_film
        films.append(_film_change(film, signature, of_film))
    tables = ((bodies, BodyChange), (corners, CornerChange), (films, FilmChange))
    return Corrections(*(pd.DataFrame(rows, columns=list(kind._fields)) for rows, kind in tables))


def corrected_bodies(draft: Film, corrected: Film) -> list[CorrectedBody]:
    """Each drafted vertebra with what became of it, and the added ones, from the sacrum up.

    Raises:
        DataError: a film has no labels.
    """
    drafted = {v.slot: v for v in draft.vertebrae or ()}
    slots = SlotRange(0, 1 + max([*drafted, *(v.slot for v in corrected.vertebrae or ())], default=0))
    match = match_film(corrected, as_prediction(draft, slots))
    pairs = [CorrectedBody(drafted.pop(slot), vertebra) for vertebra, slot in match.pairs]
    matched = {vertebra.slot for vertebra, _ in match.pairs}
    others = [v for v in corrected.vertebrae or () if v.slot not in matched]
    pairs += [CorrectedBody(drafted.pop(v.slot, None), v) for v in others]
    pairs += [CorrectedBody(v, None) for v in drafted.values()]
    return sorted(pairs, key=lambda pair: pair.slot)


def _corner_changes(film: Film, body: CorrectedBody, moved_px: float) -> list[CornerChange]:
    """The corners of a vertebra that was kept; none of another."""
    draft, corrected = body
    if draft is None or corrected is None:
        return []
    names, changes = patient_corners(film.facing), []
    for index, name in enumerate(CORNERS):
        before, after = draft.corners_xy[index], corrected.corners_xy[index]
        change = _corner_change(before, after, moved_px)
        if not change:
            continue
        offset = after - before if change == MOVED else np.full(2, 0.0 if change == KEPT else np.nan)
        distance = float(np.hypot(*offset))
        (draft_x, draft_y), (x, y) = before.tolist(), after.tolist()
        of_body = (film.film_id, draft.level, corrected.level)
        lengths = (distance, to_px512(distance, film.size_hw), to_mm(offset, film.spacing))
        changes.append(CornerChange(*of_body, name, names[index], change, draft_x, draft_y, x, y, *lengths))
    return changes


def _corner_change(before_xy: FloatArray, after_xy: FloatArray, moved_px: float) -> str:
    """The change of a corner; empty if it is on neither side."""
    was, is_now = not np.isnan(before_xy[0]), not np.isnan(after_xy[0])
    if was and is_now:
        return MOVED if np.hypot(*(after_xy - before_xy)) > moved_px else KEPT
    return REMOVED if was else ADDED if is_now else ""


def _body_change(film_id: str, body: CorrectedBody, corners: Sequence[CornerChange]) -> BodyChange:
    draft, corrected = body
    if corrected is None or draft is None:
        levels = (draft.level if draft else "", corrected.level if corrected else "")
        return BodyChange(film_id, *levels, ADDED if draft is None else REMOVED)
    counts = [sum(corner.change == change for corner in corners) for change in (MOVED, ADDED, REMOVED)]
    changes = [MOVED] * any(counts) + [RENAMED] * (draft.slot != corrected.slot)
    largest = [
        max((value for value in lengths if not math.isnan(value)), default=math.nan)
        for lengths in (
            [corner.distance_px for corner in corners],
            [corner.distance_px512 for corner in corners],
            [corner.distance_mm for corner in corners],
        )
    ]
    return BodyChange(film_id, draft.level, corrected.level, " and ".join(changes) or KEPT, *counts, *largest)


def _film_change(film: Film, signature: str, bodies: Sequence[BodyChange]) -> FilmChange:
    changes = [change for body in bodies for change in body.change.split(" and ")]
    corrected = any(change != KEPT for change in changes)
    lengths = [body.largest_px512 for body in bodies if not math.isnan(body.largest_px512)]
    return FilmChange(
        film_id=film.film_id,
        patient=film.patient,
        corrected=corrected,
        signature=signature,
        reviewed=corrected or signature == PERSON,
        corners_moved=sum(body.corners_moved for body in bodies),
        corners_added=sum(body.corners_added for body in bodies),
        corners_removed=sum(body.corners_removed for body in bodies),
        renamed=changes.count(RENAMED),
        added=changes.count(ADDED),
        removed=changes.count(REMOVED),
        largest_px512=max(lengths, default=math.nan),
    )
