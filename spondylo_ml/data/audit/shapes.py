"""Check for bodies and steps that differ from those of the same level on other films, mostly because of wrong labels.

A body is described by its width and height, the ratios of its endplates and walls, and two angles. A step to the next
body is described by its length, its direction, and the rotation from one body to the next. All values are relative to
the median of the level, sizes also to the film's other bodies. The outliers among these residuals are found by their
robust Mahalanobis distance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from spondylo_ml.data.audit.bodies import Bodies, IntArray
from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.robust import FEWEST_FILMS, FEWEST_ROWS, MAD_TO_SD, group_medians, mahalanobis
from spondylo_ml.landmarks import MIRRORED_CORNERS, Facing, FloatArray, level_name

BODY_DISTANCE, STEP_DISTANCE = 14.0, 14.0
"""Bodies and steps beyond these robust Mahalanobis distances get a warning."""

BODY_PARTS = ("width", "height", "superior over inferior edge", "left over right wall", "wedge angle", "skew")
STEP_PARTS = ("distance", "direction", "turn")


def check_shapes(bodies: Bodies) -> list[AuditFinding]:
    """Warnings for unusual bodies and steps, or a remark that there are too few bodies to tell."""
    body, step = body_residuals(bodies), step_residuals(bodies)
    comparable = int(np.isfinite(body).all(axis=1).sum())
    if 0 < len(bodies) and comparable < FEWEST_ROWS:
        message = (
            f"{comparable} bodies of levels seen on {FEWEST_FILMS} films or more: too few to tell an unusual shape, "
            f"{FEWEST_ROWS} are needed"
        )
        return [AuditFinding(Severity.REMARK, "not_checked", ("dataset",), message)]
    whole = _of_films(bodies, body, np.arange(len(bodies)), mahalanobis(body) / BODY_DISTANCE, False)
    return whole + _of_films(bodies, step, bodies.lower_of_pairs, mahalanobis(step) / STEP_DISTANCE, True)


def _of_films(
    bodies: Bodies, rows: FloatArray, places: IntArray, distance: FloatArray, steps: bool
) -> list[AuditFinding]:
    """One finding per film, which lists all its bodies (or steps) with a `distance` above 1, the largest first."""
    by_film: dict[str, list[int]] = defaultdict(list)
    far = np.flatnonzero(distance > 1)
    for row in far[np.argsort(-distance[far], kind="stable")].tolist():
        by_film[bodies.film_id(int(places[row]))].append(row)
    names, findings = STEP_PARTS if steps else BODY_PARTS, []
    spread = MAD_TO_SD * np.nanmedian(np.abs(rows), axis=0) if len(far) else np.zeros(len(names))
    for film_id, film_rows in by_film.items():
        details, slots = [], set()
        for row in film_rows:
            slot = int(bodies.slot[places[row]])
            slots |= {slot, slot + 1} if steps else {slot}
            name = f"{level_name(slot + 1)} on {level_name(slot)}" if steps else level_name(slot)
            details.append(f"{name} ({_largest_residual(rows[row], spread, names)})")
        check, what = ("body_step", "unusual place of") if steps else ("body_shape", "unusual shape of")
        message = f"{what} {', '.join(details)}"
        excess = float(distance[film_rows[0]])
        findings.append(AuditFinding(Severity.WARNING, check, (film_id,), message, tuple(sorted(slots)), excess=excess))
    return findings


def body_residuals(bodies: Bodies) -> FloatArray:
    """(N, 6) `BODY_PARTS` minus the level's median, in logarithms and radians; NaN for levels on too few films."""
    corners = _facing_left(bodies)
    superior, inferior = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 2]
    left, right = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    plates, walls = _bearing(superior + inferior), _bearing(left + right)
    lengths = np.log(np.maximum(np.linalg.norm([superior, inferior, left, right], axis=-1), 1e-6))
    sizes = np.log(np.stack([bodies.width_px, bodies.height_px], axis=1))
    relative = sizes - _usual(bodies, sizes)
    relative = relative - group_medians(np.nan_to_num(relative), bodies.film)
    rest = np.stack(
        [
            lengths[0] - lengths[1],
            lengths[2] - lengths[3],
            _wrapped(_bearing(superior) - _bearing(inferior)),
            _wrapped(walls - plates - np.pi / 2),
        ],
        axis=1,
    )
    return np.concatenate([relative, rest - _usual(bodies, rest)], axis=1)


def step_residuals(bodies: Bodies) -> FloatArray:
    """(P, 3) `STEP_PARTS` minus the level's median, in logarithms and radians; NaN for levels on too few films."""
    low = bodies.lower_of_pairs
    mirrored = _faces_right(bodies)[low]
    step = bodies.step_px * np.where(mirrored[:, None], [-1.0, 1.0], [1.0, 1.0])
    corners = _facing_left(bodies)
    plates = _bearing(corners[:, 1] - corners[:, 0] + corners[:, 3] - corners[:, 2])
    length = np.log(np.maximum(np.linalg.norm(step, axis=1), 1e-6))
    relative = length - group_medians(length, bodies.film[low])
    parts = np.stack(
        [relative, _wrapped(_bearing(step) - plates[low] + np.pi / 2), _wrapped(plates[low + 1] - plates[low])], axis=1
    ).reshape(-1, len(STEP_PARTS))
    return np.asarray(parts - group_medians(parts, bodies.slot[low], FEWEST_FILMS))


def _usual(bodies: Bodies, values: FloatArray) -> FloatArray:
    """Median over the bodies of the same level."""
    return group_medians(values, bodies.slot, FEWEST_FILMS)


def _facing_left(bodies: Bodies) -> FloatArray:
    """(N, 4, 2) corners, mirrored if the film faces right."""
    mirrored = bodies.corners_xy[:, list(MIRRORED_CORNERS)] * np.array([-1.0, 1.0])
    return np.where(_faces_right(bodies)[:, None, None], mirrored, bodies.corners_xy)


def _faces_right(bodies: Bodies) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([film.facing is Facing.RIGHT for film in bodies.films], dtype=bool)[bodies.film]


def _bearing(vectors: FloatArray) -> FloatArray:
    return np.asarray(np.arctan2(vectors[..., 1], vectors[..., 0]))


def _wrapped(angle_rad: FloatArray) -> FloatArray:
    return np.asarray((angle_rad + np.pi) % (2 * np.pi) - np.pi)


def _largest_residual(row: FloatArray, spread: FloatArray, names: Sequence[str]) -> str:
    """The value of a row that is the largest in units of the parts' spreads, as text."""
    part = int(np.argmax(np.abs(row) / np.maximum(spread, 1e-9)))
    value = row[part]
    angle = names[part] in ("wedge angle", "skew", "direction", "turn")
    return (
        f"{names[part]} {np.degrees(value):+.0f}° from the usual"
        if angle
        else (f"{names[part]} {np.exp(value):.2f} times the usual")
    )
