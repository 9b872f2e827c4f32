"""Find a body that the path of a film reads twice.

Two neighbouring levels of a spine are never much closer to each other than the others of the film. Where the network
sees a body on a disc, or two on one body, the best path may take both: then all names above are wrong.

B bodies, V levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHORTEST_STEP = 0.6
"""Length of a step over the median of the film's other steps, below which its two bodies are one. The lowest step does
not count, since the sacrum's box has another shape than those of the vertebrae, nor does the topmost: names do not
depend on it."""

FEWEST_STEPS = 3
"""Steps that a path needs, or there is too little to compare with."""


def doubled_body(boxes: Tensor, body: Tensor) -> int | None:
    """The index of a body that is one of its neighbours read again; None if there is none.

    Of the two ends of the shortest step, it is the one without which the other steps are the most even.

    Args:
        boxes: (B, 5) of one film, see `oriented_boxes`.
        body: (V,) index of the body of each level; -1 for an absent one.
    """
    on_path = body[body >= 0]
    centres_px = boxes[on_path, :2]
    length_px = _steps_px(centres_px)
    if len(length_px) < FEWEST_STEPS:
        return None
    shortest = 1 + int(length_px[1:-1].argmin())
    others_px = torch.cat([length_px[:shortest], length_px[shortest + 1 :]])
    if length_px[shortest] >= SHORTEST_STEP * others_px.median():
        return None
    return int(on_path[min((shortest, shortest + 1), key=lambda end: _unevenness(centres_px, end))])


def _steps_px(centres_px: Tensor) -> Tensor:
    lengths: Tensor = centres_px.diff(dim=0).norm(dim=-1)
    return lengths


def _unevenness(centres_px: Tensor, left_out: int) -> float:
    """How far the steps without one of the bodies are from their median, as the largest logarithm of the ratio."""
    length_px = _steps_px(torch.cat([centres_px[:left_out], centres_px[left_out + 1 :]]))
    return float((length_px / length_px.median()).log().abs().max())
