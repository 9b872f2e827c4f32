"""Check whether labelled corners can be the outline of a vertebral body, and say what is wrong if not.

Readers, the audit and training all use these functions, so that they agree on which labels are valid. Measures work in
the patient's frame and have `patient_frame.has_impossible_outline`, which needs no direction of the spine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from spondylo_ml.landmarks import CORNERS, MIRRORED_CORNERS, OUTLINE, FloatArray, Vertebra, level_name

SYSTEMATIC_SHARE = 0.8
"""If at least this share of a film's bodies has a fault, the fault is attributed to the label as a whole."""

TURNED_COS = 0.5
"""Below this cosine between a body's up vector and the spine's, the body may be labelled lying on its side."""

FEWEST_TURNED = 3
"""Minimum number of bodies to detect a turned label: in a high-grade slip two bodies may lie side by side."""

LEAST_APART_PX = 1.0
"""Corners closer than this are the same point."""

LEAST_STEP = 0.5
"""A step along the spine shorter than this share of a body's height has no reliable direction."""

_NEXT = [1, 2, 3, 0]  # indexing is several times faster than np.roll, which matters for thousands of films


@dataclass(frozen=True)
class OutlineFault:
    """What is wrong with the corners of one vertebra, or of a whole label.

    Attributes:
        slots: vertebrae whose corners are invalid.
        reason: what is wrong with one vertebra.
        whole: whether the whole label has its corners in another order.
        order: for a whole label, index into `CORNERS` of what each listed corner really is; None if no order fits.
    """

    slots: tuple[int, ...]
    reason: str
    whole: bool = False
    order: tuple[int, ...] | None = None

    def __str__(self) -> str:
        if not self.whole:
            return f"{level_name(self.slots[0])}: {self.reason}"
        message = f"the whole label has its corners in another order (of most bodies, {self.reason})"
        if self.order is None:
            return message
        return f"{message}; they fit when {', '.join(CORNERS)} are read as {', '.join(CORNERS[i] for i in self.order)}"

    @property
    def mirrored(self) -> bool:
        """Whether the only fault of the whole label is that left and right are exchanged."""
        return self.order == MIRRORED_CORNERS


def outline_faults(vertebrae: Sequence[Vertebra]) -> tuple[OutlineFault, ...]:
    """One fault if the whole label has its corners in another order; else one for each invalid body."""
    labelled = [v for v in vertebrae if v.present.any()]
    if not labelled:
        return ()
    up = spine_up(labelled)
    complete = np.array([v.present.all() for v in labelled])
    reasons = [
        outline_fault(v.corners_xy, u) if full else _incomplete_fault(v.corners_xy)
        for v, u, full in zip(labelled, up, complete, strict=True)
    ]
    bodies = [v for v, full in zip(labelled, complete, strict=True) if full]
    of_bodies = [reason for reason, full in zip(reasons, complete, strict=True) if full]
    if systematic := _systematic(bodies, up[complete], of_bodies):
        return (systematic,)
    return tuple(OutlineFault((v.slot,), why) for v, why in zip(labelled, reasons, strict=True) if why)


def impossible_slots(vertebrae: Sequence[Vertebra]) -> frozenset[int]:
    """Slots of the vertebrae whose corners are invalid."""
    return frozenset(slot for fault in outline_faults(vertebrae) for slot in fault.slots)


def without_corners(vertebrae: Iterable[Vertebra], slots: Iterable[int]) -> tuple[Vertebra, ...]:
    """The vertebrae with the corners of those in `slots` marked absent: present on the film, position unknown."""
    absent = np.full((4, 2), np.nan)
    cleared = set(slots)
    return tuple(Vertebra(v.slot, absent) if v.slot in cleared else v for v in vertebrae)


def outline_fault(corners_xy: FloatArray, toward_head_xy: FloatArray) -> str | None:
    """Why (4, 2) corners cannot be a vertebral body, or None if they can.

    Args:
        toward_head_xy: vector along the spine toward the head. It is ignored if it is short, as between two labels of
            the same body.
    """
    if np.sum(edge_turns(corners_xy) > 0) == 2:
        return "its outline crosses itself"
    area = signed_area_px2(corners_xy)
    if abs(area) < 1.0:
        return "its corners lie on a line"
    body_up = corners_xy[:2].mean(axis=0) - corners_xy[2:].mean(axis=0)
    if body_up @ toward_head_xy <= 0 and np.linalg.norm(toward_head_xy) > LEAST_STEP * np.linalg.norm(body_up):
        return "its superior edge is not the one nearer the head"
    if area < 0:
        return "its left and right corners are exchanged"
    return None


def edge_turns(corners_xy: FloatArray) -> FloatArray:
    """(4,) cross products of consecutive edges of (4, 2) corners; all positive for a convex body, with y down."""
    outline = corners_xy[list(OUTLINE)]
    edges = outline[_NEXT] - outline
    following = edges[_NEXT]
    return np.asarray(edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0])


def signed_area_px2(corners_xy: FloatArray) -> float:
    """Shoelace area of the outline in px²; negative if left and right are exchanged."""
    x, y = corners_xy[list(OUTLINE)].T
    return float(0.5 * np.sum(x * y[_NEXT] - x[_NEXT] * y))


def toward_head(centres_xy: FloatArray) -> FloatArray:
    """(V, 2) vectors along the spine, toward the head, at (V, 2) centres ordered from the sacrum up.

    Each runs from two bodies below to two above, since the step to a body that has slipped off leads sideways.
    """
    count = len(centres_xy)
    if count < 2:
        return np.tile([0.0, -1.0], (count, 1))  # a single vertebra: assume that the head is up on the film
    index = np.arange(count)
    return np.asarray(centres_xy[np.minimum(index + 2, count - 1)] - centres_xy[np.maximum(index - 2, 0)])


def spine_up(vertebrae: Sequence[Vertebra]) -> FloatArray:
    """(V, 2) vectors toward the head at each vertebra, assuming that the head is up on the film.

    Args:
        vertebrae: in order of their slots, from either end; each with at least one corner.
    """
    centres = np.stack([np.nanmean(v.corners_xy, axis=0) for v in vertebrae])
    up = toward_head(centres)
    return -up if runs_down(centres) else up


def runs_down(centres_xy: FloatArray) -> bool:
    """Whether the line from the first to the last of (V, 2) centres runs down the film rather than across or up."""
    across, down = centres_xy[-1] - centres_xy[0]
    return bool(down > abs(across))


def up_cosine(corners_xy: FloatArray, up_xy: FloatArray) -> float:
    """Cosine between the spine's direction and the line from a body's inferior to its superior edge."""
    body_up = corners_xy[:2].mean(axis=0) - corners_xy[2:].mean(axis=0)
    return float(body_up @ up_xy / max(1e-9, np.linalg.norm(body_up) * np.linalg.norm(up_xy)))


def _systematic(bodies: Sequence[Vertebra], up: FloatArray, reasons: Sequence[str | None]) -> OutlineFault | None:
    """The fault of the whole label if most of its bodies have one, with `reasons`; None for fewer than two bodies."""
    if len(bodies) < 2:
        return None
    quads = [v.corners_xy for v in bodies]
    faulty_share = np.mean([reason is not None for reason in reasons])
    turned = np.mean([up_cosine(quad, u) < TURNED_COS for quad, u in zip(quads, up, strict=True)])
    if max(faulty_share, turned if len(bodies) >= FEWEST_TURNED else 0.0) < SYSTEMATIC_SHARE:
        return None
    common = Counter(reason or "it lies on its side" for reason in reasons).most_common(1)[0][0]
    return OutlineFault(tuple(v.slot for v in bodies), common, True, _order_that_fits(quads, up))


def _order_that_fits(quads: Sequence[FloatArray], up: FloatArray) -> tuple[int, ...] | None:
    """Index into `CORNERS` of what each listed corner really is; None if no single order fits most bodies."""

    def score(order: tuple[int, ...]) -> float:
        fits = [
            (outline_fault(q[list(order)], u) is None) * up_cosine(q[list(order)], u)
            for q, u in zip(quads, up, strict=True)
        ]
        return float(np.mean(fits))

    best = max(permutations(range(4)), key=score)
    if score(best) < TURNED_COS:
        return None
    # best[c] is where corner c is listed; the fault reports what is listed in each place.
    return tuple(int(i) for i in np.argsort(best))


def _incomplete_fault(corners_xy: FloatArray) -> str | None:
    points = corners_xy[~np.isnan(corners_xy[:, 0])]
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(len(points), 1)]
    return "two of its corners coincide" if (apart < LEAST_APART_PX).any() else None
