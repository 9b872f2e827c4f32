"""Optimisers and learning rate schedules: their parameters, and the rate of every epoch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.backbones import Backbone
from spondylo_ml.models.base import LandmarkModel, Landmarks
from spondylo_ml.training.optimisers import OPTIMIZERS, build_optimizer, build_scheduler, set_frozen


class TwoParts(LandmarkModel):
    """A backbone with batch norm, and a head."""

    def __init__(self) -> None:
        super().__init__(SlotRange(0, 1))
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
        self.later = nn.Conv2d(2, 2, 1)
        self.head = nn.Linear(2, 3)
        network = nn.ModuleList([self.stem, self.later])
        self.backbone_net = Backbone("test", network, [[self.stem], [self.later]])

    def losses(self, batch: FilmBatch) -> dict[str, Tensor]:
        return {}

    def predict(self, images: Tensor) -> Landmarks:
        raise NotImplementedError


def config_of(**training: Any) -> TrainingConfig:
    return TrainingConfig(epochs=1, **training)


def rates(name: str, epochs: int, **training: Any) -> list[float]:
    config = config_of(scheduler=name, learning_rate=0.1, **training)
    optimizer = build_optimizer(TwoParts(), config)
    scheduler = build_scheduler(optimizer, config, epochs)
    assert scheduler is not None
    rates_by_epoch = []
    for _ in range(epochs):
        rates_by_epoch.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler["scheduler"].step()
    return rates_by_epoch


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("radam", torch.optim.RAdam), ("sgd", torch.optim.SGD)],
)
def test_every_optimiser_is_built_by_name(name: str, kind: type[torch.optim.Optimizer]) -> None:
    optimizer = build_optimizer(TwoParts(), config_of(optimizer=name, learning_rate=0.25))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert name in OPTIMIZERS


def test_sgd_has_nesterov_momentum_and_radam_decoupled_decay() -> None:
    sgd = build_optimizer(TwoParts(), config_of(optimizer="sgd")).param_groups[0]
    assert (sgd["momentum"], sgd["nesterov"]) == (0.9, True)
    assert build_optimizer(TwoParts(), config_of(optimizer="radam")).param_groups[0]["decoupled_weight_decay"] is True


def test_head_and_backbone_have_separate_rates_and_only_weights_decay() -> None:
    model = TwoParts()
    model.pretrained = "a file"
    config = config_of(learning_rate=0.01, backbone_rate_ratio=0.1, weight_decay=0.5)
    groups = build_optimizer(model, config).param_groups
    by_parameter = {id(p): group for group in groups for p in group["params"]}
    assert len(by_parameter) == len(list(model.parameters()))

    def settings_of(parameter: nn.Parameter) -> tuple[float, float]:
        group = by_parameter[id(parameter)]
        return group["lr"], group["weight_decay"]

    assert settings_of(model.head.weight) == (0.01, 0.5)
    assert settings_of(model.head.bias) == (0.01, 0.0)
    assert settings_of(model.later.weight) == (pytest.approx(0.001), 0.5)
    assert settings_of(model.stem[1].weight) == (pytest.approx(0.001), 0.0)  # type: ignore[arg-type]


def test_a_backbone_with_random_weights_has_the_rate_of_the_rest() -> None:
    model = TwoParts()
    model.pretrained = "none"
    groups = build_optimizer(model, config_of(learning_rate=0.01, backbone_rate_ratio=0.1)).param_groups
    assert {group["lr"] for group in groups} == {0.01}


def test_the_step_schedule_multiplies_the_rate_every_few_epochs() -> None:
    assert rates("step", 6, step_epochs=2, step_factor=0.5) == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])


def test_the_restart_schedule_doubles_its_period() -> None:
    rates_by_epoch = rates("restarts", 7, restart_epochs=2, min_learning_rate=0.0)
    # Two epochs (top, half way), then four (top, 1/4, half, 3/4 of the way down), then the top again.
    falling = [0.1 * (1 + c) / 2 for c in (2**-0.5, 0.0, -(2**-0.5))]
    assert rates_by_epoch == pytest.approx([0.1, 0.05, 0.1, *falling, 0.1])


def test_restarts_to_a_rate_above_that_of_the_backbone_are_refused() -> None:
    config = config_of(scheduler="restarts", min_learning_rate=0.2)
    with pytest.raises(ConfigError, match=r"min_learning_rate is 0.2, above the backbone's highest rate of"):
        build_scheduler(build_optimizer(TwoParts(), config), config, 10)


def test_a_constant_rate_has_no_scheduler() -> None:
    config = config_of(scheduler="constant")
    assert build_scheduler(build_optimizer(TwoParts(), config), config, 10) is None


def test_frozen_stages_update_neither_weights_nor_statistics_until_they_thaw() -> None:
    model = TwoParts().train()
    assert model.backbone_net is not None
    stages = model.backbone_net.stages[:1]
    set_frozen(stages, True)
    assert [p.requires_grad for p in model.parameters()] == [False] * 4 + [True] * 4
    before = model.stem[1].running_mean.clone()  # type: ignore[operator, union-attr]
    model.stem(torch.randn(4, 1, 2, 2))
    assert torch.equal(model.stem[1].running_mean, before)  # type: ignore[arg-type]
    set_frozen(stages, False)
    assert all(p.requires_grad for p in model.parameters())
    model.stem(torch.randn(4, 1, 2, 2))
    assert not torch.equal(model.stem[1].running_mean, before)  # type: ignore[arg-type]
