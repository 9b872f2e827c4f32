"""Find implausible spines: levels out of order, two on one body, a level left out, a body of the wrong size.

Levels next to such a body are not measured, and a warning says why. Sizes and distances are relative to the film's own
bodies, so that zoom and rotation do not matter.

The limits lie outside the range seen on 12,000 synthetic films of all grades with corner errors of up to 6 % of a
body's depth. There a body is at most 1.7 times as wide and 2.2 times as high as the others, adjacent bodies share at
most 13 % of the smaller one, and the next body lies at least 0.59 of a width above and at most 1.5 times the usual
distance away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import combinations, pairwise

import cv2
import numpy as np

from spondylo_ml.clinical.measurement import NAMES_IN_DOUBT
from spondylo_ml.clinical.patient_frame import centre_within, has_impossible_outline, patient_frame
from spondylo_ml.landmarks import OUTLINE, Facing, FloatArray, Vertebra

LARGEST_WIDTH_RATIO, LARGEST_HEIGHT_RATIO = 2.0, 2.5
"""Largest ratio of a body's width (in either direction) and height to the median of the others."""

LEAST_HEIGHT_RATIO = 0.35
"""Least ratio of its height; not of S1, of which labels have more or less. A vertebra may be crushed, but of 8,177
labelled bodies of SpineWeb-16 only 11 are lower, and what a network takes for one may be a disc, or a part of a body
that it missed."""

LARGEST_SHAPE_RATIO, FEWEST_SHAPES = 1.8, 3
"""Largest ratio of a body's height over width to the median of the film's others, without S1, and how many others that
needs. Above it, two bodies were read as one. On 150 synthetic films with corner errors of 6 % of a body's width no body
exceeds 1.62, and 98.9 % of pairs read as one exceed 1.8; of the 8,177 labelled bodies of SpineWeb-16, nine do."""

LARGEST_SHARED = 0.25
"""Largest share of the smaller of two bodies that the other may cover."""

LARGEST_THICKNESS = 0.2
"""Largest thickness of what two adjacent bodies share, as a share of the smaller height. With corner errors of 3 % of a
body's width none of 6,726 synthetic levels exceeds 0.07, with 6 % two in a thousand exceed 0.2."""

LEAST_RISE, BESIDE = 0.35, 0.6
"""Smallest rise to the next body, in widths, unless it lies this many widths to the side, as in spondyloptosis."""

TURNED_COS = -0.2
"""Below this cosine between a body's up vector and that of the others, the body is upside down."""

USUAL_RISE, USUAL_RISE_HEIGHTS = 0.9, 1.3
"""Usual rise from one lumbar body to the next, in widths and in heights of the upper body. The larger is used if a film
has too few steps for a median."""

LONGEST_RISE, SHORTEST_RISE = 1.65, 0.65
"""Rise relative to the usual one for the number of levels between the two names. Above `LONGEST_RISE`, a body was
skipped; below `SHORTEST_RISE`, a name was."""

FEWEST_STEPS = 3
"""Steps between adjacent levels that a film needs for a usual rise of its own."""

_PLATE_TO_CENTRE = 0.35  # from an endplate to the centre of its body, in widths


@dataclass(frozen=True)
class ImplausibleParts:
    """The implausible parts of a spine.

    Attributes:
        reasons: by slots, why nothing is measured at a body, or at the level of two.
        warnings: for the reader; empty for a plausible spine.
        names_sure_to: name of the body below the lowest gap above which names are in doubt; empty without such a gap.
    """

    reasons: Mapping[tuple[int, ...], str]
    warnings: tuple[str, ...]
    names_sure_to: str = ""


@dataclass(frozen=True)
class _Body:
    """One body in px of the film with the stretch undone; `height` and `corners_xy` may hold NaN."""

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
    """Find the implausible parts of a spine.

    Args:
        vertebrae: slots counted from the sacrum up.
        names: by slot, for the reasons.
        pixel_aspect: width of a pixel over its height; None is treated as 1.
    """
    scale = np.array([pixel_aspect or 1.0, 1.0])
    bodies = [b for v in vertebrae if (b := _body(names.get(v.slot, v.level), v, v.corners_xy * scale)) is not None]
    reasons: dict[tuple[int, ...], str] = {}
    messages = [f"{b.name}'s outline crosses itself: not measured there" for b in bodies if _crossed(b)]
    single = [*_turned(bodies), *_sizes(bodies)]
    # A body of the wrong shape is no evidence about its neighbours.
    rest = [body for body in bodies if not any(body.slot in slots for slots, _ in single)]
    all_slots = frozenset(body.slot for body in bodies)
    gaps = [*_two_as_one(bodies), *_gaps(rest, all_slots)]
    for slots, reason in (*single, *_overlaps(rest), *_order(rest), *gaps):
        for slot in slots:
            reasons.setdefault((slot,), reason)
        messages.append(f"{reason}: not measured there" if slots else reason)
    for lower, upper, share in _without_disc(rest, reasons):
        reason = f"{upper.name} and {lower.name} overlap by {share:.0%} of a body's height, where a disc should be"
        reasons[lower.slot, upper.slot] = reason
        messages.append(f"{reason}: their level is not measured")
    doubted = min((min(slots) for slots, _ in gaps if slots), default=None)
    below = [body for body in rest if doubted is not None and body.slot < doubted]
    return ImplausibleParts(
        reasons, tuple(dict.fromkeys(messages)), max(below, key=lambda b: b.slot).name if below else ""
    )


def shared_of_smaller(first_xy: FloatArray, second_xy: FloatArray) -> float:
    """Share of the smaller of two (4, 2) bodies that the other covers, computed on their convex hulls."""
    first, second = (np.asarray(cv2.convexHull(q[list(OUTLINE)].astype(np.float32))) for q in (first_xy, second_xy))
    smaller = min(float(cv2.contourArea(first)), float(cv2.contourArea(second)))
    return float(cv2.intersectConvexConvex(first, second)[0]) / smaller if smaller > 0 else 0.0


def shared_thickness(first_xy: FloatArray, second_xy: FloatArray) -> float:
    """Least width in px of what two (4, 2) bodies share, computed on their convex hulls."""
    first, second = (np.asarray(cv2.convexHull(q[list(OUTLINE)].astype(np.float32))) for q in (first_xy, second_xy))
    area, shared = cv2.intersectConvexConvex(first, second)
    return _least_width(np.asarray(shared, dtype=np.float64).reshape(-1, 2)) if area > 0 else 0.0


def _least_width(polygon_xy: FloatArray) -> float:
    """Least distance between two parallel lines that hold a convex (N, 2) polygon; one of them lies along an edge."""
    edges = np.roll(polygon_xy, -1, axis=0) - polygon_xy
    lengths = np.linalg.norm(edges, axis=1)
    whole = lengths > 0
    offsets = polygon_xy[None] - polygon_xy[whole, None]
    edges, lengths = edges[whole], lengths[whole]
    across = np.abs(edges[:, None, 0] * offsets[..., 1] - edges[:, None, 1] * offsets[..., 0]) / lengths[:, None]
    return float(across.max(axis=1).min())


def _body(name: str, vertebra: Vertebra, corners: FloatArray) -> _Body | None:
    """The body of a vertebra, its centre estimated from one endplate if need be; None if no endplate is complete."""
    superior, inferior = corners[1] - corners[0], corners[3] - corners[2]
    plates = np.array([superior, inferior])
    complete = np.isfinite(plates[:, 0])
    if not complete.any():
        return None
    width = float(np.linalg.norm(plates[complete], axis=1).mean())
    along = plates[complete].sum(axis=0)
    up = np.array([along[1], -along[0]])  # y points down: square to an endplate that runs from left to right
    if complete.all():
        up = corners[:2].mean(axis=0) - corners[2:].mean(axis=0)
    length = float(np.linalg.norm(up))
    if not (width > 0 and length > 0):
        return None
    up = up / length
    centre = corners.mean(axis=0)
    if not complete.all():
        toward_body = -1.0 if complete[0] else 1.0
        centre = corners[:2].mean(axis=0) if complete[0] else corners[2:].mean(axis=0)
        centre = centre + toward_body * _PLATE_TO_CENTRE * width * up
    height = float(np.linalg.norm(corners[:2] - corners[2:], axis=1).mean())
    return _Body(name, vertebra.slot, corners, centre, up, width, height)


Problem = tuple[tuple[int, ...], str]
"""Slots that are not measured because of it, and the reason; no slots for a warning alone."""


def _crossed(body: _Body) -> bool:
    """Whether the outline crosses itself. The measures that need it repeat this reason."""
    edges = np.linalg.norm(np.diff(body.corners_xy[[*OUTLINE, OUTLINE[0]]], axis=0), axis=1)
    return bool(has_impossible_outline(patient_frame(body.corners_xy, Facing.LEFT)) and edges.min() > 0)


def _turned(bodies: Sequence[_Body]) -> list[Problem]:
    """Bodies whose superior edge points the opposite way from the others'."""
    ups = np.array([b.up_xy for b in bodies]).reshape(-1, 2)
    return [
        ((body.slot,), f"{body.name} is upside down")
        for body, up in zip(bodies, ups, strict=True)
        if len(bodies) > 2 and up @ (rest := ups.sum(axis=0) - up) < TURNED_COS * float(np.linalg.norm(rest))
    ]


def _sizes(bodies: Sequence[_Body]) -> list[Problem]:
    """Bodies much wider, narrower, higher or lower than the film's others."""
    problems: list[Problem] = []
    for body in bodies:
        others = [other for other in bodies if other is not body]
        if not others:
            continue
        wide = body.width / float(np.median([other.width for other in others]))
        heights = [other.height for other in others if np.isfinite(other.height)]
        high = body.height / float(np.median(heights)) if heights else 1.0
        if not 1 / LARGEST_WIDTH_RATIO <= wide <= LARGEST_WIDTH_RATIO:
            problems.append(((body.slot,), f"{body.name} would be {wide:.2g} times as wide as the film's other bodies"))
        elif high > LARGEST_HEIGHT_RATIO or (high < LEAST_HEIGHT_RATIO and body.slot > 0):
            problems.append(((body.slot,), f"{body.name} would be {high:.2g} times as high as the film's other bodies"))
    return problems


def _two_as_one(bodies: Sequence[_Body]) -> list[Problem]:
    """Bodies that are as high as two, which shifts the names above by one: from there up nothing is measured."""
    shapes = {body.slot: body.height / body.width for body in bodies if body.slot > 0 and np.isfinite(body.height)}
    problems: list[Problem] = []
    for body in bodies:
        others = [shape for slot, shape in shapes.items() if slot != body.slot]
        if body.slot not in shapes or len(others) < FEWEST_SHAPES:
            continue
        if shapes[body.slot] > LARGEST_SHAPE_RATIO * float(np.median(others)):
            above = tuple(other.slot for other in bodies if other.slot >= body.slot)
            problems.append((above, f"{body.name} is as high as two bodies, {NAMES_IN_DOUBT}"))
    return problems


def _overlaps(bodies: Sequence[_Body]) -> list[Problem]:
    whole = [b for b in bodies if np.isfinite(b.corners_xy).all()]
    if not whole:
        return []
    framed = patient_frame(np.stack([b.corners_xy for b in whole]), Facing.LEFT)
    within = centre_within(framed[:, None], framed[None])
    within = within | within.T
    return [
        ((whole[i].slot, whole[j].slot), f"{whole[j].name} and {whole[i].name} lie on one body")
        for i, j in combinations(range(len(whole)), 2)
        if within[i, j] or shared_of_smaller(whole[i].corners_xy, whole[j].corners_xy) > LARGEST_SHARED
    ]


def _without_disc(bodies: Sequence[_Body], reasons: Mapping[tuple[int, ...], str]) -> list[tuple[_Body, _Body, float]]:
    """Adjacent bodies that overlap where a disc should be, and by how much; bodies with reasons are left out."""
    whole = [b for b in bodies if np.isfinite(b.corners_xy).all() and (b.slot,) not in reasons]
    pairs = [
        (lower, upper, shared_thickness(lower.corners_xy, upper.corners_xy) / min(lower.height, upper.height))
        for lower, upper in pairwise(whole)
    ]
    return [pair for pair in pairs if pair[2] > LARGEST_THICKNESS]


def _step(lower: _Body, upper: _Body) -> tuple[float, float]:
    """How far the upper body lies toward the head, and how far to the side, in widths of a body."""
    step = (upper.centre_xy - lower.centre_xy) / ((lower.width + upper.width) / 2)
    along = lower.up_xy + upper.up_xy
    length = float(np.linalg.norm(along))
    along = along / length if length > 0 else lower.up_xy
    return float(step @ along), float(abs(step[0] * along[1] - step[1] * along[0]))


def _order(bodies: Sequence[_Body]) -> list[Problem]:
    problems: list[Problem] = []
    for lower, upper in pairwise(bodies):
        rise, beside = _step(lower, upper)
        if rise < LEAST_RISE and beside < BESIDE:
            where = "lies below" if rise < 0 else "lies hardly above"
            problems.append(((lower.slot, upper.slot), f"{upper.name} {where} {lower.name}, which is out of order"))
    return problems


def _gaps(bodies: Sequence[_Body], all_slots: Set[int]) -> list[Problem]:
    """Skipped bodies or names: above such a gap the names cannot be right, and nothing is measured.

    Args:
        all_slots: slots of all bodies of the film, including those not in `bodies`.
    """
    pairs = [(a, b) for a, b in pairwise(bodies) if not all_slots & set(range(a.slot + 1, b.slot))]
    rises = [_step(*pair)[0] for pair in pairs]
    single = [rise for (lower, upper), rise in zip(pairs, rises, strict=True) if upper.slot - lower.slot == 1]
    film_rise = max(float(np.median(single)), LEAST_RISE) if len(single) >= FEWEST_STEPS else None
    problems: list[Problem] = []
    for (lower, upper), rise in zip(pairs, rises, strict=True):
        levels, usual = upper.slot - lower.slot, _usual_rise(lower, upper) if film_rise is None else film_rise
        above = tuple(b.slot for b in bodies if b.slot >= upper.slot)
        if levels == 1 and rise > LONGEST_RISE * usual:
            reason = f"between {upper.name} and {lower.name} a vertebra was skipped"
            problems.append((above, f"{reason}, {NAMES_IN_DOUBT}"))
        elif levels > 1 and rise < SHORTEST_RISE * levels * usual:
            reason = f"{upper.name} lies next to {lower.name}, with no room for the level between"
            problems.append((above, f"{reason}, {NAMES_IN_DOUBT}"))
        elif levels > 1:
            problems.append(((), f"no vertebra was found between {upper.name} and {lower.name}"))
    return problems


def _usual_rise(lower: _Body, upper: _Body) -> float:
    """Usual rise between two adjacent bodies in widths, as in `_step`."""
    high = upper.height / ((lower.width + upper.width) / 2)
    return max(USUAL_RISE, USUAL_RISE_HEIGHTS * high) if np.isfinite(high) else USUAL_RISE
