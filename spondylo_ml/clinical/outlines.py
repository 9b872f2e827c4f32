"""Outlines of vertebral bodies: which corners can be those of a body, and what is wrong with the others.

Pure functions of the labelled corners. Readers, the audit, the training and the clinical measures all ask here, so that
they agree on which corners can be believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from spondylo_ml.landmarks import CORNERS, MIRRORED_CORNERS, OUTLINE, FloatArray, Vertebra, level_name

SYSTEMATIC_SHARE = 0.8
"""From this share of a film's bodies on, a fault is one of the whole label and not of single bodies."""

TURNED_COS = 0.5
"""Cosine between a body's own up and the spine's, below which the body may be labelled lying on its side."""

FEWEST_TURNED = 3
"""Fewest bodies that show whether a label is turned: two alone may stand beside each other in a high-grade slip."""

LEAST_APART_PX = 1.0
"""Corners nearer to each other than this are one point."""

LEAST_STEP = 0.5
"""Share of a body's height below which a step along the spine has no direction to trust."""

_NEXT = [1, 2, 3, 0]  # np.roll does the same, several times slower, which thousands of films feel


@dataclass(frozen=True)
class OutlineFault:
    """What is wrong with the corners of one vertebra, or of a whole label.

    Attributes:
        slots: the vertebrae whose corners cannot be believed.
        reason: what is wrong, of one vertebra.
        whole: whether the label as a whole has its corners in another order.
        order: for a whole label, what the corners listed as `CORNERS` are in truth; None where no order fits.
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
        """Whether left and right are exchanged on the whole label, and all else is right."""
        return self.order == MIRRORED_CORNERS


def outline_faults(vertebrae: Sequence[Vertebra]) -> tuple[OutlineFault, ...]:
    """One fault where the whole label has its corners in another order; else one for each impossible body."""
    known = [v for v in vertebrae if v.present.any()]
    if not known:
        return ()
    up = spine_up(known)
    whole = np.array([v.present.all() for v in known])
    bodies, directions = [v for v, full in zip(known, whole, strict=True) if full], up[whole]
    if bodies and (systematic := _systematic(bodies, directions)):
        return (systematic,)
    reasons = [
        outline_fault(v.corners_xy, u) if full else _incomplete_fault(v.corners_xy)
        for v, u, full in zip(known, up, whole, strict=True)
    ]
    return tuple(OutlineFault((v.slot,), why) for v, why in zip(known, reasons, strict=True) if why)


def impossible_slots(vertebrae: Sequence[Vertebra]) -> frozenset[int]:
    """The vertebrae whose corners cannot be believed."""
    return frozenset(slot for one in outline_faults(vertebrae) for slot in one.slots)


def without_corners(vertebrae: Iterable[Vertebra], slots: Iterable[int]) -> tuple[Vertebra, ...]:
    """The vertebrae, the corners of those in `slots` absent: known to be there, but not where."""
    absent = np.full((4, 2), np.nan)
    chosen = set(slots)
    return tuple(Vertebra(v.slot, absent) if v.slot in chosen else v for v in vertebrae)


def outline_fault(corners_xy: FloatArray, toward_head_xy: FloatArray) -> str | None:
    """Why (4, 2) corners are no vertebral body, or None.

    `toward_head_xy` is a vector along the spine, toward the head; a short one, as between two labels of one body, says
    nothing of the edges.
    """
    if np.sum(edge_turns(corners_xy) > 0) == 2:
        return "its outline crosses itself"
    area = signed_area_px2(corners_xy)
    if abs(area) < 1.0:
        return "its corners lie on a line"
    own = corners_xy[:2].mean(axis=0) - corners_xy[2:].mean(axis=0)
    if own @ toward_head_xy <= 0 and np.linalg.norm(toward_head_xy) > LEAST_STEP * np.linalg.norm(own):
        return "its superior edge is not the one nearer the head"
    if area < 0:
        return "its left and right corners are exchanged"
    return None


def edge_turns(corners_xy: FloatArray) -> FloatArray:
    """(4,) cross products along the outline of (4, 2) corners; all positive for a convex body, y pointing down."""
    outline = corners_xy[list(OUTLINE)]
    edges = outline[_NEXT] - outline
    following = edges[_NEXT]
    return np.asarray(edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0])


def signed_area_px2(corners_xy: FloatArray) -> float:
    """Shoelace area of the outline, px²; negative where left and right are exchanged."""
    x, y = corners_xy[list(OUTLINE)].T
    return float(0.5 * np.sum(x * y[_NEXT] - x[_NEXT] * y))


def toward_head(centres_xy: FloatArray) -> FloatArray:
    """(V, 2) vectors along the spine at each of the (V, 2) centres, which are ordered from the sacrum up.

    From two bodies below to two above: a single step leads sideways where a body has slipped off the one below.
    """
    count = len(centres_xy)
    if count < 2:
        return np.tile([0.0, -1.0], (count, 1))  # alone on its film, the head can only be taken as up
    places = np.arange(count)
    return np.asarray(centres_xy[np.minimum(places + 2, count - 1)] - centres_xy[np.maximum(places - 2, 0)])


def spine_up(vertebrae: Sequence[Vertebra]) -> FloatArray:
    """(V, 2) vectors toward the head at each vertebra, whichever way the slots run: the head is up on the film.

    Every vertebra has a corner.
    """
    centres = np.stack([np.nanmean(v.corners_xy, axis=0) for v in vertebrae])
    up = toward_head(centres)
    return -up if runs_down(centres) else up


def runs_down(centres_xy: FloatArray) -> bool:
    """Whether the line from the first to the last of the (V, 2) centres leads down on the film, rather than across."""
    across, down = centres_xy[-1] - centres_xy[0]
    return bool(down > abs(across))


def up_cosine(corners_xy: FloatArray, up_xy: FloatArray) -> float:
    """Cosine between the spine's direction and the line from the inferior to the superior edge."""
    own = corners_xy[:2].mean(axis=0) - corners_xy[2:].mean(axis=0)
    return float(own @ up_xy / max(1e-9, np.linalg.norm(own) * np.linalg.norm(up_xy)))


def _systematic(bodies: Sequence[Vertebra], up: FloatArray) -> OutlineFault | None:
    """The fault of the label as a whole, where most of its bodies have one; a single body has no order of its own."""
    if len(bodies) < 2:
        return None
    quads = [v.corners_xy for v in bodies]
    reasons = [outline_fault(quad, u) for quad, u in zip(quads, up, strict=True)]
    wrong = np.mean([reason is not None for reason in reasons])
    turned = np.mean([up_cosine(quad, u) < TURNED_COS for quad, u in zip(quads, up, strict=True)])
    if max(wrong, turned if len(bodies) >= FEWEST_TURNED else 0.0) < SYSTEMATIC_SHARE:
        return None
    common = Counter(reason or "it lies on its side" for reason in reasons).most_common(1)[0][0]
    return OutlineFault(tuple(v.slot for v in bodies), common, True, _order_that_fits(quads, up))


def _order_that_fits(quads: Sequence[FloatArray], up: FloatArray) -> tuple[int, ...] | None:
    """What the corners listed as `CORNERS` are in truth, or None where no single order makes sense of most bodies."""

    def score(order: tuple[int, ...]) -> float:
        sound = [
            (outline_fault(q[list(order)], u) is None) * up_cosine(q[list(order)], u)
            for q, u in zip(quads, up, strict=True)
        ]
        return float(np.mean(sound))

    best = max(permutations(range(4)), key=score)
    if score(best) < TURNED_COS:
        return None
    # best[c] is the place in the file where corner c lies; the fault lists what lies in each place.
    return tuple(int(i) for i in np.argsort(best))


def _incomplete_fault(corners_xy: FloatArray) -> str | None:
    points = corners_xy[~np.isnan(corners_xy[:, 0])]
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(len(points), 1)]
    return "two of its corners coincide" if (apart < LEAST_APART_PX).any() else None
