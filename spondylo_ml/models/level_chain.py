"""Decide for the whole spine at once which vertebra is which.

The heatmap of one corner of one level often has two peaks: on the right vertebra and on its neighbour. Taking the
higher one for each corner separately mixes levels. Here each level has several candidate bodies, combined from the
peaks of its four corners. The chain of candidates with the highest sum of

* heat under the four corners,
* similarity of the body to the bodies of the training films,
* similarity of each step from body to body to the steps of the training films

is found by dynamic programming (Felzenszwalb and Huttenlocher, Pictorial Structures for Object Recognition, IJCV
2005, for a tree that is a chain). Shapes and steps are measured in each body's own frame and size, so that zoom and
rotation of the film do not matter.

Shapes: N films, V slots, C candidates a slot, P peaks a corner.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PEAKS = 4
CANDIDATES = 16
PEAK_BLOCK_CELLS = 2
BODY_WEIGHT, STEP_WEIGHT = 0.5, 2.0
WORST_DISTANCE = 30.0  # cap on the squared Mahalanobis distance, so that clear heat outweighs it
SPREAD_FLOOR = 0.05  # least standard deviation of a shape feature, for statistics from few films
LOG_FLOOR = 1e-6
FEWEST_SAMPLES = 8  # of a slot, mirrored ones included; with fewer, the statistics of all slots are used


class LevelChain(nn.Module):
    """Learns shapes and steps from training films, then picks one candidate body per slot."""

    body_mean: Tensor
    body_spread: Tensor
    step_mean: Tensor
    step_spread: Tensor
    learned: Tensor

    def __init__(self, n_slots: int) -> None:
        super().__init__()
        # Separate statistics per slot: S1 is tapered, a lumbar body is a box.
        for name, rows, size in (("body", n_slots, 3), ("step", n_slots - 1, 4)):
            self.register_buffer(f"{name}_mean", torch.zeros(rows, size))
            self.register_buffer(f"{name}_spread", torch.ones(rows, size))
        self.register_buffer("learned", torch.tensor(False))

    def learn(self, corners_xy: Tensor) -> None:
        """Learn shapes and steps from (N, V, 4, 2) true corners, NaN where absent."""
        bodies = corners_xy.double()
        mirrored = bodies[:, :, [1, 0, 3, 2]] * torch.tensor([-1.0, 1.0], dtype=torch.float64)
        both = torch.cat([bodies, mirrored])
        for name, features in (("body", body_features(both)), ("step", step_features(both[:, :-1], both[:, 1:]))):
            pooled = _finite_rows(features.flatten(0, 1))
            if len(pooled) < FEWEST_SAMPLES:
                return
            for slot in range(features.shape[1]):
                of_slot = _finite_rows(features[:, slot])
                rows = of_slot if len(of_slot) >= FEWEST_SAMPLES else pooled
                getattr(self, f"{name}_mean")[slot] = rows.median(dim=0).values
                getattr(self, f"{name}_spread")[slot] = rows.std(dim=0).clamp_min(SPREAD_FLOOR)
        self.learned.fill_(True)

    def choose(self, maps: Tensor, presence: Tensor) -> Tensor:
        """(N, K, H, W) non-negative maps and (N, V) presence to (N, K, 2) cells of the chosen peaks.

        Maps of fewer slots than were learned are taken as the lowest ones. A slot that is probably absent has little
        weight on its neighbours, but still gets a body.
        """
        peaks_xy, heat = find_peaks(maps)
        bodies, unary = self._candidates(peaks_xy, heat)
        weight = presence.clamp(0.05, 1.0)
        path = self._best_chain(bodies.float(), unary * weight[..., None], weight)
        index = path[..., None, None, None].expand(-1, -1, 1, 4, 2)
        return bodies.gather(2, index)[:, :, 0].flatten(1, 2)

    def _candidates(self, peaks_xy: Tensor, heat: Tensor) -> tuple[Tensor, Tensor]:
        """The C best of the P^4 bodies of each slot: (N, V, C, 4, 2) cells and (N, V, C) scores."""
        count, channels, n_peaks = heat.shape
        peaks = peaks_xy.reshape(count, channels // 4, 4, n_peaks, 2)
        logs = heat.clamp_min(LOG_FLOOR).log().reshape(count, channels // 4, 4, n_peaks)
        combinations = torch.tensor(list(product(range(n_peaks), repeat=4)), device=peaks.device)
        corners = torch.arange(4, device=peaks.device)
        bodies = peaks[:, :, corners, combinations]
        mean, spread = (statistic[: channels // 4, None] for statistic in (self.body_mean, self.body_spread))
        features = (body_features(bodies.float()) - mean) / spread
        distance = features.square().sum(-1).nan_to_num(WORST_DISTANCE).clamp(max=WORST_DISTANCE)
        score = logs[:, :, corners, combinations].sum(-1) - BODY_WEIGHT * distance / 2
        best = score.topk(min(CANDIDATES, score.shape[2]), dim=2)
        index = best.indices[..., None, None].expand(-1, -1, -1, 4, 2)
        return bodies.gather(2, index), best.values

    def _best_chain(self, bodies: Tensor, unary: Tensor, weight: Tensor) -> Tensor:
        """(N, V) index of the candidate of each slot on the chain with the highest score (Viterbi)."""
        total, came_from = unary[:, 0], []
        for slot in range(1, bodies.shape[1]):
            steps = step_features(bodies[:, slot - 1, :, None], bodies[:, slot, None, :])
            distance = ((steps - self.step_mean[slot - 1]) / self.step_spread[slot - 1]).square().sum(-1)
            distance = distance.nan_to_num(WORST_DISTANCE).clamp(max=WORST_DISTANCE)
            step_weight = STEP_WEIGHT * torch.minimum(weight[:, slot - 1], weight[:, slot])[:, None, None]
            through = total[:, :, None] - step_weight * distance / 2
            best = through.max(dim=1)
            came_from.append(best.indices)
            total = best.values + unary[:, slot]
        path = [total.argmax(dim=1)]
        for back in reversed(came_from):
            path.append(back.gather(1, path[-1][:, None])[:, 0])
        return torch.stack(path[::-1], dim=1)


def _finite_rows(features: Tensor) -> Tensor:
    return features[features.isfinite().all(dim=1)]


def find_peaks(maps: Tensor, count: int = PEAKS) -> tuple[Tensor, Tensor]:
    """The highest local maxima of (N, K, H, W) maps: (N, K, P, 2) cells and (N, K, P) heat in the 3 x 3 around each.

    Comparing blocks of cells instead of cells takes a quarter of the time.
    """
    block, cell = F.max_pool2d(maps, PEAK_BLOCK_CELLS, return_indices=True)
    is_top = F.max_pool2d(block, 3, 1, 1) == block
    heights = torch.where(is_top, block, torch.zeros_like(block)).flatten(2)
    best = cell.flatten(2).gather(2, heights.topk(min(count, heights.shape[2]), dim=2).indices)
    height, width = maps.shape[2:]
    x, y = best % width, best // width
    near = torch.arange(-1, 2, device=maps.device)
    rows = (y[..., None, None] + near[:, None]).clamp(0, height - 1)
    columns = (x[..., None, None] + near).clamp(0, width - 1)
    around = maps.flatten(2).gather(2, (rows * width + columns).flatten(2)).reshape(*x.shape, 9).sum(-1)
    return torch.stack([x, y], dim=-1), around


def body_features(corners: Tensor) -> Tensor:
    """(..., 4, 2) corners to (..., 3): logs of superior/inferior, left/right and width/height, NaN where degenerate."""
    superior, inferior = corners[..., 1, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 2, :]
    left, right = corners[..., 2, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 1, :]
    lengths = [edge.norm(dim=-1).clamp_min(1e-3) for edge in (superior, inferior, left, right)]
    width, height = lengths[0] + lengths[1], lengths[2] + lengths[3]
    features = torch.stack(
        [(lengths[0] / lengths[1]).log(), (lengths[2] / lengths[3]).log(), (width / height).log()], dim=-1
    )
    across, down = superior + inferior, left + right
    outward = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0] > 0
    return torch.where(outward[..., None], features, torch.nan)


def step_features(lower: Tensor, upper: Tensor) -> Tensor:
    """Two (..., 4, 2) neighbours to (..., 4): the upper centre in the frame of the lower body (x and y, in units of the
    root of its area), the log ratio of their sizes, and the angle between them in radians."""
    right, up, size = _frame(lower)
    other_right, _, other_size = _frame(upper)
    step = (upper.mean(dim=-2) - lower.mean(dim=-2)) / size[..., None]
    turn = right[..., 0] * other_right[..., 1] - right[..., 1] * other_right[..., 0]
    return torch.stack(
        [(step * right).sum(-1), (step * up).sum(-1), (other_size / size).log(), turn.clamp(-1, 1).asin()], dim=-1
    )


def _frame(corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors to the right of and up a body, and the root of its area."""
    across = (corners[..., 1, :] + corners[..., 3, :] - corners[..., 0, :] - corners[..., 2, :]) / 2
    down = (corners[..., 2, :] + corners[..., 3, :] - corners[..., 0, :] - corners[..., 1, :]) / 2
    width, height = across.norm(dim=-1).clamp_min(1e-3), down.norm(dim=-1).clamp_min(1e-3)
    return across / width[..., None], -down / height[..., None], (width * height).sqrt()
