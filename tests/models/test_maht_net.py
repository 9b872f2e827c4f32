"""MAHT-Net: its parts, and an option for every ablation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from spondylo_ml.config import Config, resolve_config
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.anatomical_attention import (
    AttentionLayer,
    CornerQueries,
    PositionCode,
    VertebralAttention,
    anatomical_bias,
)
from spondylo_ml.models.maht_net import GREATEST_SPREAD_PX512, LEAST_SPREAD_PX512, MAHTNet
from spondylo_ml.models.zoo import build_model, parameter_count

THREE = SlotRange(0, 3)
SMALL = {"backbone": "tf_efficientnet_lite0", "width": 32, "heads": 4, "bridge_layers": 1, "attention_layers": 2}


def model_of(**options: Any) -> MAHTNet:
    tree = {"model": {"name": "maht_net", "maht_net": {**SMALL, "dropout": 0.0, **options}}, "training": {"epochs": 1}}
    model = build_model(Config.model_validate(tree), THREE)
    assert isinstance(model, MAHTNet)
    return model


def noise(height: int = 64, width: int = 32) -> Tensor:
    return torch.randint(0, 255, (2, 1, height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_the_bias_is_initialised_from_the_anatomy() -> None:
    bias = anatomical_bias(3)
    assert bias.shape == (12, 12)
    torch.testing.assert_close(bias, bias.T)
    # Corner 0 of the lowest vertebra: its own body, the one above (the same corner first), the one above that.
    torch.testing.assert_close(bias[0], torch.tensor([0.5] * 4 + [0.3, 0.2, 0.2, 0.2] + [-0.1] * 4))


def test_the_bias_is_applied() -> None:
    torch.manual_seed(0)
    attention = VertebralAttention(3, 32, 4, 1, 0.0, True).eval()
    tokens = torch.randn(1, 5, 32)
    before, _ = attention(tokens)
    assert attention.bias is not None
    with torch.no_grad():
        attention.bias += 3 * torch.randn(12, 12)
    after, _ = attention(tokens)
    assert float((after - before).detach().abs().max()) > 1e-3


def test_a_bias_that_masks_other_queries_makes_a_query_independent_of_them() -> None:
    torch.manual_seed(0)
    layer, tokens = AttentionLayer(32, 4, 0.0).eval(), torch.randn(1, 5, 32)
    queries = torch.randn(1, 8, 32)
    other = queries.clone()
    other[:, 4:] = torch.randn(1, 4, 32)
    mask = torch.zeros(8, 8)
    mask[:4, 4:] = -1e9
    masked = [layer(q, tokens, mask)[0][:, :4].detach() for q in (queries, other)]
    assert torch.allclose(*masked, atol=1e-6)
    unmasked = [layer(q, tokens, torch.zeros(8, 8))[0][:, :4].detach() for q in (queries, other)]
    assert not torch.allclose(*unmasked, atol=1e-3)


def test_position_codes_are_exact_on_the_learned_grid_and_interpolated_on_others() -> None:
    code = PositionCode(8)
    learned_grid = code(16, 16)
    assert learned_grid.shape == (1, 256, 8)
    torch.testing.assert_close(learned_grid[0, 3 * 16 + 5], code.rows[0, :, 3] + code.columns[0, :, 5])
    wide = code(4, 32)
    assert wide.shape == (1, 128, 8)
    # Of 4 rows, the first lies between rows 1 and 2 of the 16 learned ones; of 32 columns, the first before column 0.
    expected = (code.rows[0, :, 1] + code.rows[0, :, 2]) / 2 + code.columns[0, :, 0]
    torch.testing.assert_close(wide[0, 0], expected)


def test_queries_of_one_vertebra_edge_or_side_share_their_codes() -> None:
    queries = CornerQueries(3, 32)
    with torch.no_grad():
        queries.own.zero_()
    vertebra, edge, side, height = queries().split(8, dim=1)
    assert torch.equal(vertebra[0], vertebra[3])
    assert not torch.equal(vertebra[0], vertebra[4])
    assert torch.equal(height[0], height[3])
    assert torch.equal(edge[0], edge[1])  # superior left and superior right
    assert not torch.equal(edge[0], edge[2])
    assert torch.equal(side[0], side[2])  # superior left and inferior left
    assert not torch.equal(side[0], side[1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attention_layers": 0},
        {"attention_layers": 0, "bridge_layers": 0},
        {"bridge_layers": 0},
        {"anatomical_bias": False},
        {"maps": "pooled"},
        {"bridge_layers": 2, "attention_layers": 1},
        {"width": 64, "heads": 8},
    ],
)
def test_every_ablation_option_leaves_only_the_expected_parameters_unused(options: dict[str, Any]) -> None:
    model = model_of(**options).train()
    output = model(noise())
    assert output.heatmaps.shape == (2, 12, 32, 16)
    assert output.presence.shape == (2, 3)
    (output.heatmaps.square().mean() + output.presence.square().mean()).backward()
    without_gradient = {name for name, p in model.named_parameters() if p.grad is None}
    assert without_gradient == model.unused_parameters()


def test_ablations_differ_in_size_as_expected() -> None:
    full = parameter_count(model_of())
    assert full - parameter_count(model_of(anatomical_bias=False)) == 12 * 12
    layer = sum(p.numel() for p in AttentionLayer(32, 4, 0.0).parameters())
    assert full - parameter_count(model_of(attention_layers=1)) == layer
    # The pooled decoder starts from the width, the other from the number of corners.
    assert parameter_count(model_of(maps="pooled")) - full == (32 - 12) * 256


def test_every_query_gives_its_own_map() -> None:
    model = model_of().eval()
    grid, queries = torch.randn(1, 32, 2, 3), torch.randn(1, 12, 32)
    maps = model._query_maps(queries, grid)
    assert maps.shape == (1, 12, 2, 3)
    assert float(maps[0, 4, 1, 2]) == pytest.approx(float(queries[0, 4] @ grid[0, :, 1, 2]) / 32**0.5, rel=1e-5)
    pooled = model_of(maps="pooled")._query_maps(queries, grid)
    torch.testing.assert_close(pooled[0, :, 0, 1], grid[0, :, 0, 1] * queries[0].mean(dim=0))


def test_the_spread_stays_within_its_limits() -> None:
    model = model_of().eval()
    assert model.spread is not None
    for bias, expected in ((-9.0, LEAST_SPREAD_PX512), (9.0, GREATEST_SPREAD_PX512)):
        torch.nn.init.constant_(model.spread[-1].weight, 0.0)  # type: ignore[arg-type]
        torch.nn.init.constant_(model.spread[-1].bias, bias)  # type: ignore[arg-type]
        spread = model(noise()).spread_px512
        assert spread is not None
        assert spread.shape == (2, 12, 2)
        torch.testing.assert_close(spread, torch.full_like(spread, expected))


def test_the_attention_of_each_corner_sums_to_1() -> None:
    attention = model_of().eval().corner_attention(noise(96, 64))
    assert attention is not None
    assert attention.shape == (2, 12, 3, 2)
    torch.testing.assert_close(attention.sum(dim=(2, 3)), torch.ones(2, 12))
    assert model_of(attention_layers=0).eval().corner_attention(noise()) is None


def test_the_uncertainty_loss_requires_a_network_that_predicts_a_spread() -> None:
    with pytest.raises(ConfigError, match=r"loss\.uncertainty_weight needs a network that predicts a spread"):
        resolve_config({"loss": {"uncertainty_weight": 0.1}})
    with pytest.raises(ConfigError, match=r"attention_layers of 1 or more; otherwise set it to 0"):
        resolve_config({"model": {"name": "maht_net", "maht_net": {"attention_layers": 0}}, "preset": "full"})


def test_a_width_not_divisible_by_the_heads_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"width 100 must be a multiple of heads \(8\) and of 4"):
        resolve_config({"model": {"name": "maht_net", "maht_net": {"width": 100}}})
