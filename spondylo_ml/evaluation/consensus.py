"""Consensus labels of several readers: the median of their corners, with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from spondylo_ml.data.readers.remarks import DRAFT_OF
from spondylo_ml.evaluation.matching import GATE, mean_corner_distances_px
from spondylo_ml.evaluation.vertebra_size import shorter_side_px
from spondylo_ml.landmarks import CORNERS, LEVELS_LABELLED, Film, FloatArray, Vertebra, level_name, patient_corners

SPREAD_COLUMNS = (
    "film_id", "slot", "level", "corner", "patient_corner", "x_px", "y_px", "n_readers", "sd_x_px", "sd_y_px",
    "farthest_px",
)  # fmt: skip
"""Positions in px of the original film. `sd`: standard deviation between the readers, NaN for one; `farthest_px`:
distance of the farthest reader from the median."""

OPEN_COLUMNS = ("film_id", "slot", "level", "n_labelled", "n_agreeing", "n_readers", "reason")

CONSENSUS = "consensus"


@dataclass(frozen=True)
class Consensus:
    """Consensus labels of some films.

    Attributes:
        films: with the consensus labels, in the order given.
        spread: one row per consensus corner, with `SPREAD_COLUMNS`.
        open_levels: the levels that some reader labelled and that have no consensus, with `OPEN_COLUMNS`.
    """

    films: tuple[Film, ...]
    spread: pd.DataFrame
    open_levels: pd.DataFrame


def consensus_of(films: Sequence[Sequence[Film]]) -> Consensus:
    """The consensus on each film, from the same film with the labels of each reader.

    A level has a consensus if more than half of the readers labelled the same body with it. Two readings are of one
    body if their corners are on average within `GATE` of its shorter side, as in matching by position. Each corner is
    the median, axis by axis, of these readings, where more than half of the readers placed it.

    The names of a film's levels count as labelled if each has been labelled by one of the readers who agree on it; else
    they are assumed. Where a reader is a model's draft that nobody corrected, the consensus is marked as this draft.
    """
    out: list[Film] = []
    spread: list[tuple[object, ...]] = []
    still_open: list[tuple[object, ...]] = []
    for readings in films:
        first = readings[0]
        vertebrae: list[Vertebra] = []
        sources: list[str] = []
        for slot in sorted({v.slot for film in readings for v in film.vertebrae or ()}):
            by_reading = [(film, v) for film in readings for v in film.vertebrae or () if v.slot == slot]
            labelled = [v for _, v in by_reading]
            places = _of_one_body(labelled)
            agreeing = [labelled[place] for place in places]
            if vertebra := _median(slot, agreeing, len(readings)):
                vertebrae.append(vertebra)
                sources.append(_surest([by_reading[place][0].levels_from for place in places]))
                spread += _spread_rows(first, vertebra, agreeing)
            else:
                still_open.append(_open_row(first.film_id, slot, len(labelled), len(agreeing), len(readings)))
        levels_from = next((source for source in sources if source != LEVELS_LABELLED), LEVELS_LABELLED)
        reader = next((film.reader for film in readings if film.reader.startswith(DRAFT_OF)), CONSENSUS)
        out.append(replace(first, vertebrae=tuple(vertebrae), levels_from=levels_from, reader=reader))
    return Consensus(
        tuple(out),
        pd.DataFrame(spread, columns=list(SPREAD_COLUMNS)),
        pd.DataFrame(still_open, columns=list(OPEN_COLUMNS)),
    )


def _surest(sources: Sequence[str]) -> str:
    """Labelled if one of the sources of a level's name is a label, else the first assumption."""
    return LEVELS_LABELLED if LEVELS_LABELLED in sources else sources[0]


def _of_one_body(readings: Sequence[Vertebra]) -> list[int]:
    """Indices of the largest group of readings that lie on the body of one of them."""
    corners = np.stack([v.corners_xy for v in readings])
    near = mean_corner_distances_px(corners, corners) <= GATE * shorter_side_px(corners)[:, None]
    np.fill_diagonal(near, True)
    return [int(index) for index in np.flatnonzero(near[int(near.sum(axis=1).argmax())])]


def _median(slot: int, agreeing: Sequence[Vertebra], n_readers: int) -> Vertebra | None:
    """The median body; None if it has no corner that more than half of the readers placed."""
    corners = np.stack([v.corners_xy for v in agreeing])
    n_placed = (~np.isnan(corners[..., 0])).sum(axis=0)
    placed = n_placed > n_readers / 2
    if not placed.any():
        return None
    xy = np.full((4, 2), np.nan)
    xy[placed] = np.nanmedian(corners[:, placed], axis=0)
    n_visible = np.stack([v.visible for v in agreeing]).sum(axis=0)
    return Vertebra(slot, xy, n_visible > n_placed / 2)


def _spread_rows(film: Film, median: Vertebra, agreeing: Sequence[Vertebra]) -> list[tuple[object, ...]]:
    names = patient_corners(film.facing)
    rows: list[tuple[object, ...]] = []
    for corner in np.flatnonzero(median.present):
        xy = median.corners_xy[corner]
        placed: FloatArray = np.stack([v.corners_xy[corner] for v in agreeing if v.present[corner]])
        sd = placed.std(axis=0, ddof=1) if len(placed) > 1 else np.full(2, np.nan)
        farthest = float(np.linalg.norm(placed - xy, axis=1).max())
        rows.append((
            film.film_id, median.slot, median.level, CORNERS[corner], names[corner], *xy, len(placed), *sd, farthest,
        ))  # fmt: skip
    return rows


def _open_row(film_id: str, slot: int, n_labelled: int, n_agreeing: int, n_readers: int) -> tuple[object, ...]:
    if n_labelled <= n_readers / 2:
        reason = "not labelled by more than half of the readers"
    elif n_agreeing <= n_readers / 2:
        reason = "the readers give this name to different bodies"
    else:
        reason = "no corner placed by more than half of the readers"
    return film_id, slot, level_name(slot), n_labelled, n_agreeing, n_readers, reason
