"""Every model can overfit four synthetic films; takes minutes, Keypoint R-CNN twenty on two threads."""

from __future__ import annotations

import pytest
import torch

from spondylo_ml.config import Config
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.data.batches import FilmBatch, plain_loader
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.metrics import score
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.models.zoo import build_model
from spondylo_ml.training.inference import to_film_predictions

STEPS = {"unet": 100, "resnet50": 120, "hrnet_w32": 120, "keypoint_rcnn": 300, "maht_net": 200, "cascade_net": 150}
LIMIT_PX512 = {"keypoint_rcnn": 4.0}
SIZE_HW = {"keypoint_rcnn": (256, 192), "cascade_net": (256, 192)}  # they need bodies of more than a few cells
DEFAULT_SIZE_HW = (128, 96)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def config_of(name: str) -> Config:
    rcnn = {"proposals": 40, "sampled_proposals": 32, "anchor_sizes_px": (8, 16, 32, 64, 128)}
    maht_net = {
        "backbone": "tf_efficientnet_lite0",
        "width": 128,
        "dropout": 0.0,
        "bridge_layers": 2,
        "attention_layers": 2,
    }
    model = {"name": name, "hrnet_w32": {"dropout": 0.0}, "keypoint_rcnn": rcnn, "maht_net": maht_net}
    return Config.model_validate(
        {
            "model": model,
            "training": {"epochs": 1},
            "heatmap": {"sigma_cells": 1.0, "blur_kernel": 0, "levels": "slot", "flip_average": False},
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_model_overfits_four_synthetic_films(name: str) -> None:
    films = phantom_films(4, 3, 256).films
    prepared = prepare_films(films, SLOTS, SIZE_HW.get(name, DEFAULT_SIZE_HW))
    (batch,) = plain_loader(prepared, 4)
    batch = FilmBatch(*(part.to(DEVICE) for part in batch))
    torch.manual_seed(0)
    model = build_model(config_of(name), SLOTS).to(DEVICE).train()
    steps = STEPS[name]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3 if name != "keypoint_rcnn" else 3e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack(list(model.losses(batch).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    # Let the running statistics of batch norm catch up with the final weights.
    with torch.no_grad():
        for _ in range(30):
            model.losses(batch)
    predictions = to_film_predictions(prepared, model.eval().predict(batch.images), model)
    error = score(PredictionSet(films, predictions))["mre_px512"]
    assert error < LIMIT_PX512.get(name, 2.0), f"{error:.2f} px512 after {steps} steps"
