"""Spines that cannot be: levels out of order, two on one body, one left out, a body many times its neighbours' size.

A level beside such a body is not measured, and a warning says why. Sizes and distances are compared within the film,
as shares of its own bodies, so that neither zoom nor rotation matters.

The limits lie outside of all that 12,000 synthetic films show, those of all grades among them, with corners that are
off by up to 6 % of a body's depth: there a body is at most 1.7 times as wide and 2.2 times as high as the film's
others, neighbours share at most 13 % of the smaller one, and the next body lies 0.59 of a width above, or more, and up
to 1.5 times as far as the film's others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations, pairwise

import cv2
import numpy as np

from spondylo_ml.clinical.patient_frame import centre_within, has_impossible_outline, patient_frame
from spondylo_ml.landmarks import OUTLINE, Facing, FloatArray, Vertebra

LARGEST_WIDTH_RATIO, LARGEST_HEIGHT_RATIO = 2.0, 2.5
"""A body so many times as wide (or so many times narrower), or as high, as the film's others usually are is none.
A vertebra may be crushed, so that none is too flat."""

LARGEST_SHARED = 0.25
"""Share of the smaller of two bodies that the other may cover."""

LEAST_RISE, BESIDE = 0.35, 0.6
"""How far the next body must lie toward the head, in widths; unless it lies so far beside, as in spondyloptosis."""

TURNED_COS = -0.2
"""Cosine between a body's own up and that of the film's others, below which it is upside down."""

USUAL_RISE, USUAL_RISE_HEIGHTS = 0.9, 1.3
"""Of a lumbar spine, in widths and in heights of the upper body: the longer one is taken where a film has too few steps
of its own."""

LONGEST_RISE, SHORTEST_RISE = 1.65, 0.65
"""Rise over the usual one, and over that of as many levels as the names count: beyond, a body was passed over; below,
a name was."""

FEWEST_STEPS = 3
_MIDDLE_OF_PLATE = 0.35  # from an endplate to the middle of its body, in widths


@dataclass(frozen=True)
class ImplausibleParts:
    """What of a spine is not to be believed.

    Attributes:
        bodies: by slot, why nothing is measured at a body.
        warnings: what a reader must know; empty for a spine that can be.
    """

    bodies: Mapping[int, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Body:
    """One body in the film's own units, as far as its corners are known."""

    name: str
    slot: int
    corners_xy: FloatArray
    centre_xy: FloatArray
    up_xy: FloatArray
    width: float
    height: float


def find_implausible_parts(
    vertebrae: Sequence[Vertebra], names: Mapping[int, str], pixel_aspect: float | None = 1.0
) -> ImplausibleParts:
    """The parts of a spine that cannot be, on vertebrae that count from the sacrum up.

    Args:
        names: what each slot is called in the reasons.
    """
    scale = np.array([pixel_aspect or 1.0, 1.0])
    bodies = [b for v in vertebrae if (b := _body(names.get(v.slot, v.level), v, v.corners_xy * scale)) is not None]
    found: dict[int, str] = {}
    messages = [f"{b.name}'s outline crosses itself: not measured there" for b in bodies if _crossed(b)]
    alone = [*_turned(bodies), *_sizes(bodies)]
    # A shape that is no body is no evidence about its neighbours.
    rest = [body for body in bodies if not any(body.slot in slots for slots, _ in alone)]
    seen = frozenset(body.slot for body in bodies)
    for slots, reason in (*alone, *_overlaps(rest), *_order(rest), *_gaps(rest, seen)):
        for slot in slots:
            found.setdefault(slot, reason)
        messages.append(f"{reason}: not measured there" if slots else reason)
    return ImplausibleParts(found, tuple(dict.fromkeys(messages)))


def shared_of_smaller(first_xy: FloatArray, second_xy: FloatArray) -> float:
    """Share of the smaller of two (4, 2) bodies, taken as their convex hulls, that the other covers."""
    first, second = (np.asarray(cv2.convexHull(q[list(OUTLINE)].astype(np.float32))) for q in (first_xy, second_xy))
    smaller = min(float(cv2.contourArea(first)), float(cv2.contourArea(second)))
    return float(cv2.intersectConvexConvex(first, second)[0]) / smaller if smaller > 0 else 0.0


def _body(name: str, vertebra: Vertebra, corners: FloatArray) -> _Body | None:
    """None where no endplate is known."""
    superior, inferior = corners[1] - corners[0], corners[3] - corners[2]
    plates = np.array([superior, inferior])
    known = np.isfinite(plates[:, 0])
    if not known.any():
        return None
    width = float(np.linalg.norm(plates[known], axis=1).mean())
    along = plates[known].sum(axis=0)
    up = np.array([along[1], -along[0]])  # y points down: square to an endplate that runs from left to right
    if known.all():
        up = corners[:2].mean(axis=0) - corners[2:].mean(axis=0)
    length = float(np.linalg.norm(up))
    if not (width > 0 and length > 0):
        return None
    up = up / length
    centre = corners.mean(axis=0)
    if not known.all():
        toward_body = -1.0 if known[0] else 1.0
        centre = corners[:2].mean(axis=0) if known[0] else corners[2:].mean(axis=0)
        centre = centre + toward_body * _MIDDLE_OF_PLATE * width * up
    height = float(np.linalg.norm(corners[:2] - corners[2:], axis=1).mean())
    return _Body(name, vertebra.slot, corners, centre, up, width, height)


Found = tuple[tuple[int, ...], str]


def _crossed(body: _Body) -> bool:
    """Whether the outline crosses itself; what is measured says so of each measure that needs it."""
    edges = np.linalg.norm(np.diff(body.corners_xy[[*OUTLINE, OUTLINE[0]]], axis=0), axis=1)
    return bool(has_impossible_outline(patient_frame(body.corners_xy, Facing.LEFT)) and edges.min() > 0)


def _turned(bodies: Sequence[_Body]) -> list[Found]:
    """Bodies whose head side points the other way than that of the film's others."""
    ups = np.array([b.up_xy for b in bodies]).reshape(-1, 2)
    return [
        ((body.slot,), f"{body.name} is upside down")
        for body, up in zip(bodies, ups, strict=True)
        if len(bodies) > 2 and up @ (rest := ups.sum(axis=0) - up) < TURNED_COS * float(np.linalg.norm(rest))
    ]


def _sizes(bodies: Sequence[_Body]) -> list[Found]:
    """Bodies unlike the film's others; of two alone, none can be said to be the wrong one."""
    found: list[Found] = []
    for body in bodies:
        others = [other for other in bodies if other is not body]
        if not others:
            continue
        wide = body.width / float(np.median([other.width for other in others]))
        heights = [other.height for other in others if np.isfinite(other.height)]
        high = body.height / float(np.median(heights)) if heights else 1.0
        if not 1 / LARGEST_WIDTH_RATIO <= wide <= LARGEST_WIDTH_RATIO:
            found.append(((body.slot,), f"{body.name} would be {wide:.2g} times as wide as the film's other bodies"))
        elif high > LARGEST_HEIGHT_RATIO:
            found.append(((body.slot,), f"{body.name} would be {high:.2g} times as high as the film's other bodies"))
    return found


def _overlaps(bodies: Sequence[_Body]) -> list[Found]:
    whole = [b for b in bodies if np.isfinite(b.corners_xy).all()]
    return [
        ((lower.slot, upper.slot), f"{upper.name} and {lower.name} lie on one body")
        for lower, upper in combinations(whole, 2)
        if shared_of_smaller(lower.corners_xy, upper.corners_xy) > LARGEST_SHARED
        or _within(lower.corners_xy, upper.corners_xy)
    ]


def _within(first_xy: FloatArray, second_xy: FloatArray) -> bool:
    first, second = (patient_frame(c, Facing.LEFT) for c in (first_xy, second_xy))
    return bool(centre_within(first, second) | centre_within(second, first))


def _step(lower: _Body, upper: _Body) -> tuple[float, float]:
    """How far the upper body lies toward the head, and how far beside, in widths of a body."""
    step = (upper.centre_xy - lower.centre_xy) / ((lower.width + upper.width) / 2)
    along = lower.up_xy + upper.up_xy
    length = float(np.linalg.norm(along))
    along = along / length if length > 0 else lower.up_xy
    return float(step @ along), float(abs(step[0] * along[1] - step[1] * along[0]))


def _order(bodies: Sequence[_Body]) -> list[Found]:
    found: list[Found] = []
    for lower, upper in pairwise(bodies):
        rise, beside = _step(lower, upper)
        if rise < LEAST_RISE and beside < BESIDE:
            where = "lies below" if rise < 0 else "lies hardly above"
            found.append(((lower.slot, upper.slot), f"{upper.name} {where} {lower.name}, which is out of order"))
    return found


def _gaps(bodies: Sequence[_Body], seen: Set[int]) -> list[Found]:
    """Bodies or names passed over: above such a gap the names cannot be right, so that nothing is measured there.

    Args:
        seen: slots of all bodies of the film, of which some may be left out here.
    """
    pairs = [(a, b) for a, b in pairwise(bodies) if not seen & set(range(a.slot + 1, b.slot))]
    rises = [_step(*pair)[0] for pair in pairs]
    single = [rise for (lower, upper), rise in zip(pairs, rises, strict=True) if upper.slot - lower.slot == 1]
    own = max(float(np.median(single)), LEAST_RISE) if len(single) >= FEWEST_STEPS else None
    found: list[Found] = []
    for (lower, upper), rise in zip(pairs, rises, strict=True):
        levels, usual = upper.slot - lower.slot, _usual_rise(lower, upper) if own is None else own
        above = tuple(b.slot for b in bodies if b.slot >= upper.slot)
        if levels == 1 and rise > LONGEST_RISE * usual:
            reason = f"between {upper.name} and {lower.name} a vertebra was passed over, so that names from there up"
            found.append((above, f"{reason} are in doubt"))
        elif levels > 1 and rise < SHORTEST_RISE * levels * usual:
            reason = f"{upper.name} lies next to {lower.name}, with no room for the level between"
            found.append((above, f"{reason}, so that names from there up are in doubt"))
        elif levels > 1:
            found.append(((), f"no vertebra was found between {upper.name} and {lower.name}"))
    return found


def _usual_rise(lower: _Body, upper: _Body) -> float:
    """In widths, as `_step` gives it."""
    high = upper.height / ((lower.width + upper.width) / 2)
    return max(USUAL_RISE, USUAL_RISE_HEIGHTS * high) if np.isfinite(high) else USUAL_RISE
