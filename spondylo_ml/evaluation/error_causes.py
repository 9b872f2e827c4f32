"""Why a corner is off: give the error of each corner one cause, by the true corner that lies where it was predicted.

The corner that was hit is the nearest of those that could be meant: the four of the corner's own vertebra, and those on
the same edge (superior or inferior) of all others, so that the two endplates at a disc are not confused. One more
vertebra is assumed at either end of the labelled ones, because a spine named one level too high ends on a vertebra
without labels. If the corner that was hit is within `GATE` times the shorter side of the vertebra, the cause is:

* `localisation`: the corner itself; only its position is off, by little or much;
* `side_flip`: its mirror image on the same edge; `corner_swap`: another corner of the same vertebra;
* `level_shift`: a corner of another vertebra.

Otherwise it is `false`, predicted where no true corner is, or `missed`: no prediction, or a vertebra predicted as
absent.

As in TIDE (Bolya et al., ECCV 2020), the cost of a cause is the drop in error if an oracle corrected these corners and
changed no other, so that the error can only fall.
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
    levels = _with_assumed_ends(vertebrae)
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
    """For each of `KINDS`: share of the corners, share of the summed error, mean error, and the MRE without the cause.

    `mre_left_out_px512` leaves these corners out, and may be higher than the MRE. `mre_fixed_px512` corrects them, and
    is never higher: corners with a wrong name keep their distance to the corner that was hit, the others have no error.
    """
    error = corners["error_px512"].to_numpy(dtype=np.float64)
    residual = corners["residual_px512"].to_numpy(dtype=np.float64)
    names = corners["kind"].to_numpy(dtype=object)
    out = {}
    for kind in KINDS:
        of_kind = names == kind
        fixed = np.nan_to_num(residual) if kind in WRONG_NAME else np.zeros_like(error)
        out[kind] = {
            "share_of_corners_percent": bootstrap.mean(100.0 * of_kind, patients),
            "share_of_error_percent": bootstrap.ratio(100 * error * of_kind, error, patients, n=len(error)),
            "mre_px512": bootstrap.mean(np.where(of_kind, error, np.nan), patients),
            "mre_left_out_px512": bootstrap.mean(np.where(of_kind, np.nan, error), patients),
            "mre_fixed_px512": bootstrap.mean(np.where(of_kind, fixed, error), patients),
        }
    return out


def level_shifts(
    corners: pd.DataFrame, patients: Sequence[str], bootstrap: PatientBootstrap
) -> dict[str, dict[str, Estimate]]:
    """Share of all corners by the number of levels they are off, positive up the spine; only those that occur."""
    off = corners["levels_off"].where(corners["kind"] == "level_shift")
    steps = sorted({int(step) for step in off.dropna()})
    return {
        f"{step:+d}": {"share_of_corners_percent": bootstrap.mean(100.0 * (off == step).to_numpy(), patients)}
        for step in steps
    }


def _kind(
    guess: FloatArray, slot: int, corner: int, levels: dict[int, FloatArray], gate: float
) -> tuple[str, float, float]:
    """Kind, levels off, and distance in px to the corner that was hit."""
    if np.isnan(guess).any():
        return "missed", np.nan, np.nan
    # The corner itself comes first, so that it wins a tie.
    candidates = [(slot, corner)] + [(slot, c) for c in range(4) if c != corner]
    candidates += [(other, c) for other in levels if other != slot for c in _SAME_EDGE[corner]]
    places = np.array([levels[other][c] for other, c in candidates])
    distance = np.nan_to_num(np.linalg.norm(places - guess, axis=1), nan=np.inf)
    nearest = int(np.argmin(distance))
    if not distance[nearest] <= gate:  # also a body of unknown size, whose gate is NaN
        return "false", np.nan, np.nan
    hit_slot, hit_corner = candidates[nearest]
    kind = "corner_swap"
    if hit_slot != slot:
        kind = "level_shift"
    elif hit_corner == corner:
        kind = "localisation"
    elif hit_corner == MIRRORED_CORNERS[corner]:
        kind = "side_flip"
    return kind, float(hit_slot - slot), float(distance[nearest])


def _with_assumed_ends(vertebrae: Sequence[Vertebra]) -> dict[int, FloatArray]:
    """Corners by slot, with one more vertebra at each end if the last two are adjacent."""
    labelled = {v.slot: v.corners_xy for v in vertebrae if v.present.any()}
    levels = dict(labelled)
    if labelled:
        for end, step in ((max(labelled), 1), (min(labelled), -1)):
            if end - step in labelled:
                levels[end + step] = 2 * labelled[end] - labelled[end - step]
    return levels
