"""A small training setup to check: configuration, films and model, without faults until a test plants one."""

from __future__ import annotations

from functools import cache
from typing import Any

from spondylo_ml.config import Config
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model
from spondylo_ml.training.device import Compute

CPU = Compute("cpu", "fp32", "a test")
ALL_PARTS = {"coordinate_weight": 0.5, "anatomical_weight": 0.1}


def config_of(name: str = "unet", **sections: Any) -> Config:
    """A configuration with all loss terms that the model supports; `sections` override its values."""
    rcnn = {"proposals": 20, "sampled_proposals": 8}
    maht = {"backbone": "tf_efficientnet_lite0", "width": 64, "bridge_layers": 1, "attention_layers": 1}
    spread = {"uncertainty_weight": 0.1} if name == "maht_net" else {}
    tree: dict[str, Any] = {
        "model": {"name": name, "keypoint_rcnn": rcnn, "maht_net": maht},
        "training": {"epochs": 1, "batch_size": 4},
        "loss": {**ALL_PARTS, **spread},
    }
    for section, values in sections.items():
        tree[section] = {**tree.get(section, {}), **values}
    return Config.model_validate(tree)


def model_of(name: str = "unet", slots: SlotRange = SLOTS, **sections: Any) -> LandmarkModel:
    return build_model(config_of(name, **sections), slots)


@cache
def films() -> tuple[PreparedFilm, ...]:
    """Eight synthetic films at 64 x 96 px."""
    return tuple(prepare_films(phantom_films(8, 3, 96).films, SLOTS, (96, 64)))


def batch(count: int = 2) -> FilmBatch:
    (loaded,) = plain_loader(films()[:count], count)
    return loaded
