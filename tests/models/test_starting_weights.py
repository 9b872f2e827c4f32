"""Going on from the weights of another model, with its levels or a part of them."""

from __future__ import annotations

import pytest
import torch

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import HeatmapModel, LandmarkModel
from spondylo_ml.models.pretrained import load_pretrained
from spondylo_ml.models.starting_weights import start_from
from spondylo_ml.models.zoo import MODELS, build_model

TEN, FROM_L5 = SlotRange(0, 10), SlotRange(1, 6)
HEATMAP_MODELS = [name for name, builder in MODELS.items() if issubclass(builder, HeatmapModel)]
WITHOUT_ATTENTION = {"maht_net": {"attention_layers": 0, "bridge_layers": 1}}


def config_of(name: str, **model: object) -> Config:
    values = {"preset": "quick", "model": {"name": name, **model}, "loss": {"uncertainty_weight": 0.0}}
    return resolve_config(values)


def network(config: Config, slots: SlotRange, seed: int) -> LandmarkModel:
    """A network whose weights and statistics are all different from those of another seed."""
    model = build_model(config.model_copy(update={"seed": seed}), slots)
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value += 0.01 * (torch.rand(value.shape) - 0.5)
    return model.eval()


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_all_weights_of_a_model_with_the_same_levels_are_loaded(name: str) -> None:
    source, model = (network(config_of(name), TEN, seed) for seed in (1, 2))
    weights = source.state_dict()
    start_from(model, weights, TEN, "source")
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[key]), key


@pytest.mark.parametrize("name", HEATMAP_MODELS)
def test_a_part_of_the_levels_is_read_as_by_the_whole_model(name: str) -> None:
    config = config_of(name, **WITHOUT_ATTENTION)
    source, model = network(config, TEN, 1), network(config, FROM_L5, 2)
    assert isinstance(source, HeatmapModel)
    assert isinstance(model, HeatmapModel)
    start_from(model, source.state_dict(), TEN, "source")
    images = torch.randint(0, 256, (1, 1, 64, 64), dtype=torch.uint8, generator=torch.manual_seed(3))
    with torch.no_grad():
        whole, part = source(images), model(images)
    assert whole.heatmaps.isfinite().all()
    assert torch.equal(part.heatmaps, whole.heatmaps[:, 4:28]), "corners of L5 to T12"
    assert torch.allclose(part.presence, whole.presence[:, 1:7], atol=1e-6)
    assert torch.equal(model.chain.body_mean, source.chain.body_mean[1:7])
    assert torch.equal(model.chain.step_mean, source.chain.step_mean[1:6]), "steps between these six"


def test_the_queries_and_the_attention_among_corners_are_those_of_the_part() -> None:
    source, model = (network(config_of("maht_net"), slots, 1) for slots in (TEN, FROM_L5))
    start_from(model, source.state_dict(), TEN, "source")
    before, after = source.state_dict(), model.state_dict()
    assert torch.equal(after["vertebral.queries.own"], before["vertebral.queries.own"][4:28])
    assert torch.equal(after["vertebral.queries.vertebra.weight"], before["vertebral.queries.vertebra.weight"][1:7])
    assert torch.equal(after["vertebral.bias"], before["vertebral.bias"][4:28, 4:28])


def test_levels_that_the_model_lacks_are_named() -> None:
    config = config_of("unet")
    source, model = network(config, FROM_L5, 1), network(config, TEN, 2)
    before = model.state_dict()["heatmaps.weight"].clone()
    message = (
        r"source has the levels L5 to T12, the films S1 to T9: it cannot go on for S1, T11, T10, T9\. Leave these "
        r"levels out \(data\.first_slot=1, data\.n_slots=6\)"
    )
    with pytest.raises(ConfigError, match=message):
        start_from(model, source.state_dict(), FROM_L5, "source")
    assert torch.equal(model.state_dict()["heatmaps.weight"], before)


def test_another_network_is_refused_with_the_first_weight_that_differs() -> None:
    source = network(config_of("maht_net"), TEN, 1)
    model = network(config_of("maht_net", maht_net={"bridge_layers": 3}), TEN, 2)
    with pytest.raises(
        ConfigError, match=r"network of source differs .* in 12 of \d+ weights, first bridge\.layers\.2"
    ):
        start_from(model, source.state_dict(), TEN, "source")
    with pytest.raises(ConfigError, match=r"differs from the configured one .* first bridge\.layers\.2"):
        start_from(source, model.state_dict(), TEN, "other")


def test_a_close_up_may_be_added_to_a_model_without_one_and_starts_at_random() -> None:
    source = network(config_of("cascade_net"), TEN, 1)
    model = network(config_of("cascade_net", cascade_net={"close_up_samples": 16, "reduction": 2}), TEN, 2)
    before, weights = {name: value.clone() for name, value in model.state_dict().items()}, source.state_dict()
    start_from(model, weights, TEN, "source")
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key] if key.startswith("close_up.") else weights[key]), key
    with pytest.raises(ConfigError, match=r"first close_up\."):
        start_from(source, model.state_dict(), TEN, "with a close-up")
    other = network(config_of("cascade_net", cascade_net={"close_up_samples": 16, "bridge_layers": 1}), TEN, 3)
    with pytest.raises(ConfigError, match=r"first bridge|first decoder"):
        start_from(other, weights, TEN, "source")


def test_commands_that_find_no_models_refuse_one_to_go_on_from() -> None:
    config = config_of("unet").model.model_copy(update={"pretrained": "starter"})
    with pytest.raises(ConfigError, match="given 'starter': only train goes on from a model"):
        load_pretrained(build_model(config_of("unet"), TEN), config)
