"""Read the spine of a film again if its bodies leave a gap, or one of them is read twice.

A spine has no gap. Where a body is hardly seen and the names of those above it fit without it, the best path may leave
it out: then all names on one side of the gap are wrong. So if a step is much longer than the others of the film and the
network sees something in its middle, a body is assumed there, steps of this length are ruled out, and the best path is
chosen anew. The shares of the levels decide on which side the names move; but since they contradict each other, the
confidence in the names of such a film is low. A body that was read twice (`doubled_bodies`) is left out, and the path
chosen anew.

N films, V levels, B bodies, h x w cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from spondylo_ml.models.cascade_levels import LEVEL_STRIDE, Levels
from spondylo_ml.models.centre_chain import (
    MOST_SEEN,
    SHARE_FLOOR,
    SHIFTS,
    Bodies,
    CentreChain,
    LevelPath,
    find_bodies,
)
from spondylo_ml.models.doubled_bodies import doubled_body

LONGEST_STEP = 1.5
"""Length of a step over the median of the film's other steps, above which it leads over a body. The lowest step does
not count: a body that slips off the sacrum by half its depth or more is as far away."""

LEAST_SEEN = 0.15
"""Share of all levels in the middle of a gap, from which a body is assumed there."""

LENGTH_TOLERANCE_PX = 0.01  # of a step that is measured twice

NOT_FOUND = 0.49
"""Largest presence of a level that the best path leaves out, even if it is on most other paths: it has no body."""

MOST_FILLED = 2
"""Times that a film is read again: a gap may be two bodies wide, or there may be two; so with bodies read twice."""


class SpineReading(NamedTuple):
    """The bodies of each level.

    Attributes:
        boxes: (N, V, 5) see `oriented_boxes`; where a level is absent, they continue the spine by mean steps.
        seen: (N, V) share of all levels on the body, that is how clearly it is one; 0 for an absent level.
        presence: see `LevelPath`; at most `NOT_FOUND` for an absent level.
        shift_scores: see `LevelPath`.
    """

    boxes: Tensor
    seen: Tensor
    presence: Tensor
    shift_scores: Tensor


def read_spines(chain: CentreChain, levels: Levels) -> SpineReading:
    """The best path of each film, read again without doubled bodies, and where it leaves a gap in which one is seen."""
    bodies = find_bodies(levels.log_share, levels.log_absent, levels.shapes, LEVEL_STRIDE)
    path = chain.choose(bodies)
    near = F.avg_pool2d(levels.log_share.exp(), 3, 1, 1, divisor_override=1)
    films = [
        _read_again(chain, Bodies(*(part[n, None] for part in bodies)), LevelPath(*(part[n, None] for part in path)),
                    near[n, None])
        for n in range(len(near))
    ]  # fmt: skip
    return SpineReading(*map(torch.cat, zip(*films, strict=True)))


def _read_again(chain: CentreChain, bodies: Bodies, path: LevelPath, near: Tensor) -> SpineReading:
    """The reading of one film whose path is known."""
    n_seen = bodies.boxes.shape[1]
    for _ in range(MOST_FILLED):
        if (left_out := doubled_body(bodies.boxes[0], path.body[0])) is None:
            break
        bodies = without_body(bodies, left_out)
        path = chain.choose(bodies)
    for _ in range(MOST_FILLED):
        middle, longest_px = gaps_of(bodies.boxes[0], path.body[0])
        is_seen = shares_at(middle, near).sum(dim=0) >= LEAST_SEEN
        if not is_seen.any():
            break
        step_px = longest_px[is_seen] / LONGEST_STEP
        bodies = with_assumed(bodies, middle[is_seen], step_px, near)
        path = chain.choose(bodies, longest_steps_px(bodies.boxes[0], path.body[0], longest_px[is_seen].min()))
    seen = shares_at(bodies.boxes[0], near).sum(dim=0).clamp(0, 1)[None]
    seen = seen.gather(1, path.body.clamp_min(0)) * (path.body >= 0)
    scores = path.shift_scores
    if (path.body >= n_seen).any():  # moved by one level, the names on the other side would be those that are seen
        scores[:, SHIFTS - 1 : SHIFTS + 2] = scores.amax(dim=1, keepdim=True)
    presence = torch.where(path.body >= 0, path.presence, path.presence.clamp_max(NOT_FOUND))
    return SpineReading(chain.extended(bodies.boxes, path.body), seen, presence, scores)


def gaps_of(boxes: Tensor, body: Tensor) -> tuple[Tensor, Tensor]:
    """The gaps of one film's path.

    Args:
        boxes: (B, 5) of its bodies.
        body: (V,) index of the body of each level; -1 for an absent one.

    Returns:
        (K, 5) box in the middle of each step that is too long, and (K,) the greatest length that it might have, px.
    """
    on_path = boxes[body[body >= 0]]
    length_px = on_path[:, :2].diff(dim=0).norm(dim=-1)
    others = ~torch.eye(len(length_px), dtype=torch.bool)
    if len(length_px) < 2:  # nothing to compare with
        return boxes[:0], length_px[:0]
    longest_px = LONGEST_STEP * torch.stack([length_px[other].median() for other in others])
    too_long = length_px > longest_px
    too_long[0] = False
    return ((on_path[:-1] + on_path[1:]) / 2)[too_long], longest_px[too_long]


def longest_steps_px(boxes: Tensor, body: Tensor, longest_px: Tensor) -> Tensor:
    """(V - 1,) greatest length of each step when one film's path is chosen anew; the lowest may stay as long as it is.

    Args:
        boxes, body: see `gaps_of`.
        longest_px: greatest length of the others.
    """
    limits_px = longest_px.repeat(len(body) - 1)
    lowest = int((body >= 0).nonzero()[0])
    first, second = boxes[body[lowest : lowest + 2], :2]
    limits_px[lowest] = torch.maximum(longest_px, (second - first).norm() + LENGTH_TOLERANCE_PX)
    return limits_px


def without_body(bodies: Bodies, left_out: int) -> Bodies:
    """One film's bodies, one of which no path takes any more."""
    log_share = bodies.log_share.clone()
    log_share[..., left_out] = math.log(SHARE_FLOOR)
    return bodies._replace(log_share=log_share)


def with_assumed(bodies: Bodies, boxes: Tensor, step_px: Tensor, near: Tensor) -> Bodies:
    """One film's bodies with further ones, which are as clearly bodies as one can be; their names stay open.

    They take the place of all that lie within half a step, which would be the same body once more.

    Args:
        boxes: (K, 5) of the bodies that are assumed.
        step_px: (K,) usual length of a step around them.
        near: (1, V, h, w) share of each level around each cell.
    """
    share = shares_at(boxes, near)
    share = MOST_SEEN * share / share.sum(dim=0).clamp_min(SHARE_FLOOR)
    apart_px = (bodies.boxes[0, :, None, :2] - boxes[None, :, :2]).norm(dim=-1)
    same = (apart_px < step_px / 2).any(dim=1)
    return Bodies(
        torch.cat([bodies.boxes, boxes[None]], dim=1),
        torch.cat([bodies.log_share.masked_fill(same, math.log(SHARE_FLOOR)), share.clamp_min(SHARE_FLOOR).log()[None]],
                  dim=2),
        bodies.log_absent,
    )  # fmt: skip


def shares_at(boxes: Tensor, near: Tensor) -> Tensor:
    """(V, K) share of each level around the centres of (K, 5) boxes on one film, from its (1, V, h, w) `near`."""
    height, width = near.shape[2:]
    cell = ((boxes[:, :2] + 0.5) / LEVEL_STRIDE - 0.5).round().long()
    return near[0][:, cell[:, 1].clamp(0, height - 1), cell[:, 0].clamp(0, width - 1)]
