"""Why a corner is off: each strict error is given one cause, by asking what was found where the corner was predicted.

The corner found is the nearest of the true ones that could be meant: the four of the corner's own vertebra, and those
of the same edge (superior or inferior) of all others, so that the disc between two endplates does not make neighbours
of them. One vertebra more at either end of the labelled ones is supposed, a step beyond it: a spine named one level too
high ends on a vertebra that the labels leave out. Within `GATE` of the vertebra's shorter side the corner found says:

* `localisation`: the corner itself is nearest: right name, and an error of place alone, large or small;
* `side_flip`: its mirror image on the same edge; `corner_swap`: another corner of the same vertebra;
* `level_shift`: a corner of another vertebra;
* `false`: none is near: it was predicted where no labelled corner is;
* `missed`: nothing was said: no prediction, or a vertebra said to be absent.

As in TIDE (Bolya et al., ECCV 2020), what a cause costs is what the error would be if an oracle fixed it: put these
corners right and changed no other, so that the error can only be lower.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from spondylo_ml.evaluation.corner_table import to_px512
from spondylo_ml.evaluation.intervals import Estimate, PatientBootstrap
from spondylo_ml.evaluation.matching import GATE, PRESENCE_THRESHOLD
from spondylo_ml.evaluation.vertebra_size import shorter_side_px
from spondylo_ml.landmarks import MIRRORED_CORNERS, Film, FilmPrediction, FloatArray, Vertebra

KINDS = ("localisation", "level_shift", "side_flip", "corner_swap", "missed", "false")
WRONG_NAME = ("level_shift", "side_flip", "corner_swap")
_SAME_EDGE = ((0, 1), (0, 1), (2, 3), (2, 3))


COLUMNS = ("kind", "levels_off", "residual_px512")
"""`kind` is one of `KINDS`. `levels_off` counts levels from the right vertebra up to the one that was hit, 0 for the
right one; `residual_px512` is the distance to the corner that was hit. Both are NaN where none was hit."""


def cause_rows(film: Film, prediction: FilmPrediction) -> list[tuple[str, float, float]]:
    """The true corners of a film, with `COLUMNS`, in the order of `corner_table.corner_rows`."""
    vertebrae = film.vertebrae or ()
    levels = _with_supposed_ends(vertebrae)
    rows = []
    for vertebra in vertebrae:
        gate = GATE * float(shorter_side_px(vertebra.corners_xy))
        row = vertebra.slot - prediction.slots.first
        predicted = vertebra.slot in prediction.slots and prediction.presence[row] >= PRESENCE_THRESHOLD
        for corner in np.flatnonzero(vertebra.present):
            guess = prediction.corners_xy[row, corner] if predicted else np.full(2, np.nan)
            kind, levels_off, residual = _kind(guess, vertebra.slot, int(corner), levels, gate)
            rows.append((kind, levels_off, to_px512(residual, film.size_hw)))
    return rows


def error_anatomy(
    corners: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap
) -> dict[str, dict[str, Estimate]]:
    """For each of `KINDS`: share of the corners, share of the summed error, its own mean error, and the MRE without.

    `mre_left_out_px512` leaves these corners out, and may be higher than the MRE. `mre_fixed_px512` keeps them, put
    right, and is never higher: corners of a wrong name are measured against the corner found; those of `localisation`,
    missed and false ones lie where they should.
    """
    error = corners["error_px512"].to_numpy(dtype=np.float64)
    residual = corners["residual_px512"].to_numpy(dtype=np.float64)
    names = corners["kind"].to_numpy(dtype=object)
    out = {}
    for kind in KINDS:
        its = names == kind
        fixed = np.nan_to_num(residual) if kind in WRONG_NAME else np.zeros_like(error)
        out[kind] = {
            "share_of_corners_percent": bootstrap.mean(100.0 * its, patients),
            "share_of_error_percent": bootstrap.ratio(100 * error * its, error, patients, n=len(error)),
            "mre_px512": bootstrap.mean(np.where(its, error, np.nan), patients),
            "mre_left_out_px512": bootstrap.mean(np.where(its, np.nan, error), patients),
            "mre_fixed_px512": bootstrap.mean(np.where(its, fixed, error), patients),
        }
    return out


def level_shifts(
    corners: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap
) -> dict[str, dict[str, Estimate]]:
    """By how many levels corners are off, up the spine positive: percent of all corners; only what occurs."""
    off = corners["levels_off"].where(corners["kind"] == "level_shift")
    steps = sorted({int(step) for step in off.dropna()})
    return {
        f"{step:+d}": {"share_of_corners_percent": bootstrap.mean(100.0 * (off == step).to_numpy(), patients)}
        for step in steps
    }


def _kind(
    guess: FloatArray, slot: int, corner: int, levels: dict[int, FloatArray], gate: float
) -> tuple[str, float, float]:
    """Kind, levels off, and distance in px to the corner found."""
    if np.isnan(guess).any():
        return "missed", np.nan, np.nan
    # The corner itself comes first, so that it wins a draw.
    meant = [(slot, corner)] + [(slot, c) for c in range(4) if c != corner]
    meant += [(other, c) for other in levels if other != slot for c in _SAME_EDGE[corner]]
    places = np.array([levels[other][c] for other, c in meant])
    distance = np.nan_to_num(np.linalg.norm(places - guess, axis=1), nan=np.inf)
    nearest = int(np.argmin(distance))
    if distance[nearest] > gate:
        return "false", np.nan, np.nan
    found_slot, found_corner = meant[nearest]
    kind = "corner_swap"
    if found_slot != slot:
        kind = "level_shift"
    elif found_corner == corner:
        kind = "localisation"
    elif found_corner == MIRRORED_CORNERS[corner]:
        kind = "side_flip"
    return kind, float(found_slot - slot), float(distance[nearest])


def _with_supposed_ends(vertebrae: Sequence[Vertebra]) -> dict[int, FloatArray]:
    """Corners by slot, with one vertebra more at each end where the last two follow each other."""
    known = {v.slot: v.corners_xy for v in vertebrae if v.present.any()}
    levels = dict(known)
    if known:
        for end, step in ((max(known), 1), (min(known), -1)):
            if end - step in known:
                levels[end + step] = 2 * known[end] - known[end - step]
    return levels
