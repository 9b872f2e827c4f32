"""Decide for the whole spine at once which of the bodies that are seen is which level, and how sure that is.

A network gives each level a distribution over the cells of the film and "absent". Bodies are the peaks of the greatest
share over the levels. Absent levels lie at both ends of the spine only, so that a reading is a path from the lowest
level that is present to the topmost, one body each. Its score is the sum of

* the evidence for each level at its body: the logarithm of its share there, less that of the share that no level has
  there, so that leaving out a body that is clearly seen costs as much as it should,
* the logarithm of the share of "absent" of each level below and above,
* the similarity of each step from body to body to the steps of the training films, 0 for a usual one: otherwise each
  level more would cost something, and paths would be too short.

The best path is found by dynamic programming (Viterbi), the probability that a level is present by summing over all
paths (forward-backward), and the confidence of the levels by moving all levels of the best path up and down.

Shapes: N films, V slots, B bodies, h x w cells.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from spondylo_ml.models.level_statistics import LevelStatistics, step_features
from spondylo_ml.models.oriented_boxes import bodies_of_boxes

BODIES = 32
SHIFTS = 2
"""Levels by which the whole spine is moved up and down to weigh other readings."""

STEP_WEIGHT = 0.5
"""Of a step's score: its features depend on each other. On validation films of both kinds, synthetic and SpineWeb-16,
little changes from 0.3 to 0.6."""

BOX_NOISE = (0.05, 0.2, 0.12, 0.08)
"""Standard deviation that the network's boxes add to the features of a step (see `step_features`): those of synthetic
validation films have up to 2.9 times the spread of true ones."""

WORST_DISTANCE = 30.0
MOST_SEEN = 0.95
"""Largest share of all levels that counts at one body: the network is never surer that it must be named."""

SHARE_FLOOR = 1e-6
NEVER = -1e4


class Bodies(NamedTuple):
    """Bodies seen on the films.

    Attributes:
        boxes: (N, B, 5) see `oriented_boxes`.
        log_share: (N, V, B) logarithm of the share of each level that lies on each body.
        log_absent: (N, V) logarithm of the share of "absent".
    """

    boxes: Tensor
    log_share: Tensor
    log_absent: Tensor


class LevelPath(NamedTuple):
    """The best path.

    Attributes:
        body: (N, V) index of the body of each level; -1 for an absent one.
        presence: (N, V) probability that the level is present, over all paths.
        shift_scores: (N, 2 SHIFTS + 1) score of the names alone of the best path moved by -SHIFTS to SHIFTS levels.
    """

    body: Tensor
    presence: Tensor
    shift_scores: Tensor


class CentreChain(LevelStatistics):
    """Learns the steps from body to body from training films, then finds the best path."""

    def choose(self, bodies: Bodies, longest_steps_px: Tensor | None = None) -> LevelPath:
        """The best path through the bodies of each film.

        Args:
            longest_steps_px: (V - 1,) greatest length of the step above each level but the topmost; None: no limit.
        """
        before, after = _absent_before_and_after(bodies.log_absent)
        steps, evidence = self._steps(bodies.boxes, longest_steps_px), _evidence(bodies.log_share)
        best, came_from = [evidence[:, 0] + before[:, 0, None]], []
        forward = [best[0]]
        for slot in range(1, evidence.shape[1]):
            start = before[:, slot, None]
            through = (best[-1][:, :, None] + steps[slot - 1]).max(dim=1)
            came_from.append(torch.where(through.values > start, through.indices, -1))
            best.append(torch.maximum(through.values, start) + evidence[:, slot])
            summed = torch.logsumexp(forward[-1][:, :, None] + steps[slot - 1], dim=1)
            forward.append(torch.logaddexp(summed, start.expand_as(summed)) + evidence[:, slot])
        body = _trace_back(torch.stack(best, 1) + after[..., None], came_from)
        presence = _presence(torch.stack(forward, 1), steps, evidence, bodies.log_absent)
        return LevelPath(body, presence, _shift_scores(bodies, body))

    def _steps(self, boxes: Tensor, longest_px: Tensor | None = None) -> list[Tensor]:
        """For each pair of neighbouring levels, (N, B, B) score of the step from a body to another."""
        count = boxes.shape[1]
        rectangles = bodies_of_boxes(boxes)
        features = step_features(rectangles[:, :, None], rectangles[:, None])
        same = torch.eye(count, dtype=torch.bool, device=boxes.device)
        impossible = same | (features[..., 1] <= 0)  # a level does not lie below the next lower one
        centre = boxes[..., :2]
        length_px = (centre[:, :, None] - centre[:, None]).norm(dim=-1)
        scores = []
        usual = self.step_mean.shape[1]  # mean squared distance: a feature adds 1
        for slot, (mean, spread) in enumerate(zip(self.step_mean, self._box_spread(), strict=True)):
            distance = ((features - mean) / spread).square().sum(-1).nan_to_num(WORST_DISTANCE)
            score = STEP_WEIGHT / 2 * (usual - distance.clamp(max=WORST_DISTANCE)) * self.learned
            if longest_px is not None:
                score = score.masked_fill(length_px > longest_px[slot], NEVER)
            scores.append(score.masked_fill(impossible, NEVER))
        return scores

    def _box_spread(self) -> Tensor:
        """(V - 1, 4) standard deviation of the features of steps between the network's boxes."""
        return (self.step_spread.square() + self.step_spread.new_tensor(BOX_NOISE).square()).sqrt()

    def extended(self, boxes: Tensor, body: Tensor) -> Tensor:
        """(N, V, 5) boxes of all levels: those of the path, and continued by mean steps where a level is absent."""
        chosen = boxes.gather(1, body.clamp_min(0)[..., None].expand(-1, -1, 5))
        present = body >= 0
        filled = [chosen[:, slot] for slot in range(chosen.shape[1])]
        reached = present[:, 0]
        for slot in range(1, len(filled)):
            use = reached & ~present[:, slot]
            filled[slot] = torch.where(use[:, None], self._next(filled[slot - 1], slot - 1, up=True), filled[slot])
            reached = reached | present[:, slot]
        for slot in range(len(filled) - 2, -1, -1):
            use = ~(present[:, : slot + 1].any(dim=1))
            filled[slot] = torch.where(use[:, None], self._next(filled[slot + 1], slot, up=False), filled[slot])
        return torch.stack(filled, dim=1)

    def _next(self, box: Tensor, step: int, up: bool) -> Tensor:
        """The box one level above, or below, (N, 5) boxes by the mean step."""
        across, along, log_size, turn = self.step_mean[step]
        sign = 1.0 if up else -1.0
        tilt = box[:, 4] + sign * turn
        frame = box[:, 4] if up else tilt
        size = (box[:, 2:4].sum(dim=1) / 2 - (0.0 if up else log_size)).exp()
        right = torch.stack([frame.cos(), frame.sin()], dim=-1)
        upward = torch.stack([frame.sin(), -frame.cos()], dim=-1)
        centre = box[:, :2] + sign * size[:, None] * (across * right + along * upward)
        return torch.cat([centre, box[:, 2:4] + sign * log_size, tilt[:, None]], dim=1)


def find_bodies(log_share: Tensor, log_absent: Tensor, shapes: Tensor, stride: int) -> Bodies:
    """Bodies at the peaks of the greatest share over the levels.

    Args:
        log_share: (N, V, h, w) logarithm of each level's share at each cell.
        log_absent: (N, V) logarithm of each level's share of "absent".
        shapes: (N, 3, h, w) log width and log height in px, and tilt, of the body at each cell.
        stride: px per cell.
    """
    share = log_share.exp()
    greatest = share.amax(dim=1, keepdim=True)  # in a sum, the peaks of small bodies would merge
    is_top = F.max_pool2d(greatest, 3, 1, 1) == greatest
    peaks = torch.where(is_top, greatest, torch.zeros_like(greatest)).flatten(2)[:, 0]
    heights, cell = peaks.topk(min(BODIES, peaks.shape[1]), dim=1)
    width = log_share.shape[3]
    x, y = (cell % width).float(), (cell // width).float()
    offset_x, offset_y = _centre_of_mass(greatest, cell)
    centre = torch.stack([x + offset_x, y + offset_y], dim=-1)
    shape = shapes.flatten(2).gather(2, cell[:, None].expand(-1, 3, -1)).transpose(1, 2)
    boxes = torch.cat([(centre + 0.5) * stride - 0.5, shape], dim=-1)
    near = F.avg_pool2d(share, 3, 1, 1, divisor_override=1).flatten(2)
    at_body = near.gather(2, cell[:, None].expand(-1, share.shape[1], -1))
    at_body = at_body * (heights > 0)[:, None]  # fewer peaks than bodies
    return Bodies(boxes, at_body.clamp_min(SHARE_FLOOR).log(), log_absent.clamp_min(NEVER))


def _centre_of_mass(map_: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """(N, B) x and y of the centre of mass of (N, 1, h, w) in the 3 x 3 around each (N, B) cell, relative to it."""
    near = torch.tensor([-1.0, 0.0, 1.0], device=map_.device)
    kernels = torch.stack([near.expand(3, 3), near[:, None].expand(3, 3), torch.ones(3, 3, device=map_.device)])
    moments = F.conv2d(map_, kernels[:, None], padding=1).flatten(2)
    x, y, mass = moments.gather(2, cell[:, None].expand(-1, 3, -1)).unbind(1)
    return x / mass.clamp_min(SHARE_FLOOR), y / mass.clamp_min(SHARE_FLOOR)


def _evidence(log_share: Tensor) -> Tensor:
    """(N, V, B) log odds that a body is a level rather than none, from the logarithm of each level's share there."""
    seen = log_share.exp().sum(dim=1, keepdim=True).clamp_max(MOST_SEEN)
    return log_share - torch.log1p(-seen)


def _absent_before_and_after(log_absent: Tensor) -> tuple[Tensor, Tensor]:
    """(N, V) sums of `log_absent` over the levels below, and over those above, each level."""
    total = log_absent.cumsum(dim=1)
    return total - log_absent, total[:, -1:] - total


def _trace_back(score: Tensor, came_from: list[Tensor]) -> Tensor:
    """(N, V) body of each level on the path that ends at the highest of (N, V, B) scores."""
    count, slots, bodies = score.shape
    end = score.flatten(1).argmax(dim=1)
    last_slot, current = end // bodies, end % bodies
    path = [torch.full((count,), -1, device=score.device)] * slots
    for slot in range(slots - 1, -1, -1):
        if slot < slots - 1:
            before = came_from[slot].gather(1, path[slot + 1].clamp_min(0)[:, None])[:, 0]
            current = torch.where(slot < last_slot, torch.where(path[slot + 1] >= 0, before, -1), current)
        path[slot] = torch.where(slot <= last_slot, current, -1)
    return torch.stack(path, dim=1)


def _presence(forward: Tensor, steps: list[Tensor], evidence: Tensor, log_absent: Tensor) -> Tensor:
    """(N, V) share of the paths, weighted by their scores, on which each level is present.

    One more path has no level at all: on a film without a spine, no level is present.
    """
    after = _absent_before_and_after(log_absent)[1]
    backward = [after[:, -1, None].expand_as(forward[:, -1])]
    for slot in range(evidence.shape[1] - 2, -1, -1):
        on = torch.logsumexp(steps[slot] + (evidence[:, slot + 1] + backward[0])[:, None], dim=2)
        backward.insert(0, torch.logaddexp(on, after[:, slot, None].expand_as(on)))
    through = torch.logsumexp(forward + torch.stack(backward, 1), dim=2)
    no_level = log_absent.sum(dim=1)
    total = torch.logaddexp(torch.logsumexp((forward + after[..., None]).flatten(1), dim=1), no_level)
    return (through - total[:, None]).exp().clamp(0, 1)


def _shift_scores(bodies: Bodies, body: Tensor) -> Tensor:
    """(N, 2 SHIFTS + 1) scores of the path with all levels moved down to up, without what hardly depends on the shift:
    steps, and how clearly the bodies are seen."""
    on_path = body >= 0
    share = bodies.log_share.gather(2, body.clamp_min(0)[:, None].expand(-1, body.shape[1], -1))  # level, body's slot
    scores = []
    for shift in range(-SHIFTS, SHIFTS + 1):
        moved = torch.diagonal(share, -shift, 1, 2)  # body of slot v as level v + shift
        first = max(0, -shift)
        used = on_path[:, first : first + moved.shape[1]]
        outside = on_path.sum(dim=1) - used.sum(dim=1)
        absent = bodies.log_absent.clone()
        levels = slice(first + shift, first + shift + moved.shape[1])
        absent[:, levels] = absent[:, levels].masked_fill(used, 0.0)
        score = moved.masked_fill(~used, 0.0).sum(dim=1) + absent.sum(dim=1)
        scores.append(torch.where(outside > 0, score + outside * NEVER, score))
    return torch.stack(scores, dim=1)
