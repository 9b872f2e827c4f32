"""Train with a custom heatmap loss: here, the Huber loss, weighted by the target's height."""

from torch import Tensor
from torch.nn import functional as F

import spondylo_ml
from spondylo_ml.config.network import LossConfig
from spondylo_ml.models.losses import HeatmapLoss


def huber(output: Tensor, target: Tensor, present: Tensor, config: LossConfig) -> Tensor:
    """Output and target are (films, corners, height, width); corners that are not `present` do not count."""
    error = F.huber_loss(output.float(), target, reduction="none", delta=0.1) * (1 + config.keypoint_weight * target)
    return (error.mean(dim=(2, 3)) * present).sum() / present.sum().clamp(min=1)


# The network's output is read as heights of the maps, from 0 to 1, unless HeatmapLoss is given another reading.
spondylo_ml.register_loss("huber", HeatmapLoss(huber))

if __name__ == "__main__":
    run = spondylo_ml.train("unet", "smoke", loss={"heatmap": "huber", "keypoint_weight": 50})
    print(f"MRE {run.metrics['mre_px512']:.1f} px512; run {run.run_id}")
