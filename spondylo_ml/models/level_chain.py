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
from torch import Tensor
from torch.nn import functional as F

from spondylo_ml.models.level_statistics import LevelStatistics, body_features, step_features

PEAKS = 4
CANDIDATES = 16
PEAK_BLOCK_CELLS = 2
BODY_WEIGHT, STEP_WEIGHT = 0.5, 2.0
WORST_DISTANCE = 30.0  # cap on the squared Mahalanobis distance, so that clear heat outweighs it
LOG_FLOOR = 1e-6


class LevelChain(LevelStatistics):
    """Learns shapes and steps from training films, then picks one candidate body per slot."""

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
