"""Cascade Net: its losses by hand, and predictions of mirrored and moved films."""

from __future__ import annotations

import math
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from spondylo_ml.config import Config
from spondylo_ml.data.batches import FilmBatch
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import Landmarks
from spondylo_ml.models.cascade_levels import Levels, level_cross_entropy, mean_levels, shape_error
from spondylo_ml.models.cascade_net import CascadeNet
from spondylo_ml.models.found_corners import FoundCorners, from_reduced, to_reduced

SLOTS = SlotRange(0, 2)


def net(**values: object) -> CascadeNet:
    torch.manual_seed(0)
    tree = {
        "model": {"name": "cascade_net", "cascade_net": {"width": 16, "token_width": 32}},
        "training": {"epochs": 1},
    }
    return CascadeNet(Config.model_validate({**tree, **values}), SLOTS).eval()


def output_of(log_share: Tensor, log_absent: Tensor) -> Levels:
    height, width = log_share.shape[2:]
    return Levels(log_share, log_absent, torch.zeros(1, 3, height, width), torch.zeros(1))


def test_a_uniform_distribution_costs_the_logarithm_of_the_cells_and_absent() -> None:
    uniform = -math.log(8 * 8 + 1)
    output = output_of(torch.full((1, 2, 8, 8), uniform), torch.full((1, 2), uniform))
    boxes = torch.tensor([[[35.5, 27.5, 3.0, 3.0, 0.0], [torch.nan] * 5]])
    complete, absent = torch.tensor([[True, False]]), torch.tensor([[False, True]])
    assert float(level_cross_entropy(output, boxes, complete, absent)) == pytest.approx(math.log(65))
    assert float(level_cross_entropy(output, boxes, complete, ~absent & ~complete)) == pytest.approx(math.log(65))
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    assert float(level_cross_entropy(output, boxes, nothing, nothing)) == 0


def test_an_absent_level_costs_the_logarithm_of_its_share_of_absent() -> None:
    output = output_of(torch.full((1, 1, 4, 4), -9.0), torch.tensor([[math.log(0.25)]]))
    one = torch.ones(1, 1, dtype=torch.bool)
    assert float(level_cross_entropy(output, torch.full((1, 1, 5), torch.nan), ~one, one)) == pytest.approx(math.log(4))


def test_the_shape_error_is_taken_at_the_cell_of_the_centre() -> None:
    shapes = torch.full((1, 3, 4, 4), 99.0)
    shapes[0, :, 2, 1] = torch.tensor([3.5, 3.0, -0.1])
    boxes = torch.tensor([[[12.0, 20.0, 3.0, 3.0, 0.2], [torch.nan] * 5]])  # the centre is in row 2, column 1
    complete = torch.tensor([[True, False]])
    assert float(shape_error(shapes, boxes, complete)) == pytest.approx((0.5 + 0.0 + 0.3) / 3)


def test_the_steps_of_the_training_films_are_learned_and_too_short_ones_are_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = torch.tensor([[-10.0, -6.0], [10.0, -6.0], [-10.0, 6.0], [10.0, 6.0]])
    spine = torch.stack([body + torch.tensor([30.0, y]) for y in (60.0, 40.0)])  # 20 px apart
    model = net()
    model.learn_shapes(spine.repeat(8, 1, 1, 1))
    assert bool(model.chain.learned)
    # Up the body by 20 px, in units of the root of its area of 20 x 12 px.
    torch.testing.assert_close(
        model.chain.step_mean, torch.tensor([[0.0, 20 / math.sqrt(240), 0.0, 0.0]]), atol=1e-5, rtol=0
    )
    assert not caplog.records
    model.learn_shapes(spine.repeat(8, 1, 1, 1) / 2)
    assert "neighbouring vertebrae are 10.0 px apart" in caplog.text
    assert "1.6 times" in caplog.text


@pytest.fixture(scope="module")
def landmarks() -> tuple[Landmarks, Landmarks]:
    """Of a film and of its mirror image."""
    model = net()
    images = torch.randint(0, 255, (2, 1, 96, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return model.predict(images), model.predict(images.flip(3))


def test_a_mirrored_film_has_mirrored_corners(landmarks: tuple[Landmarks, Landmarks]) -> None:
    """Holds exactly because both orientations are averaged."""
    plain, mirrored = landmarks
    back = mirrored.corners_xy[:, :, [1, 0, 3, 2]] * torch.tensor([-1.0, 1.0]) + torch.tensor([63.0, 0.0])
    torch.testing.assert_close(back, plain.corners_xy, atol=0.05, rtol=0)
    torch.testing.assert_close(mirrored.presence, plain.presence, atol=1e-4, rtol=0)


def test_covariances_are_positive_and_shares_are_shares(landmarks: tuple[Landmarks, Landmarks]) -> None:
    plain = landmarks[0]
    assert plain.covariance_px2 is not None
    assert float(torch.linalg.eigvalsh(plain.covariance_px2).min()) > 0
    assert plain.heat_share is not None
    assert 0 <= float(plain.heat_share.min()) <= float(plain.heat_share.max()) <= 1


def test_without_uncertainty_there_is_no_covariance() -> None:
    model = net(uncertainty={"source": "none"})
    assert model.predict(torch.zeros(1, 1, 64, 64, dtype=torch.uint8)).covariance_px2 is None


def test_a_film_in_a_batch_is_predicted_as_by_itself() -> None:
    model = net()
    images = torch.randint(0, 255, (3, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    together, alone = model.predict(images), model.predict(images[1:2])
    torch.testing.assert_close(together.corners_xy[1:2], alone.corners_xy, atol=0.01, rtol=0)


def test_a_point_of_a_reduced_film_is_the_centre_of_the_pixels_that_it_replaces() -> None:
    pixel = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    torch.testing.assert_close(from_reduced(pixel, 2), torch.tensor([[0.5, 2.5], [4.5, 6.5]]))
    torch.testing.assert_close(to_reduced(from_reduced(pixel, 3), 3), pixel)


CLOSE_UP = {"width": 16, "token_width": 32, "close_up_samples": 16, "reduction": 2}


def with_close_up(**values: object) -> CascadeNet:
    return net(model={"name": "cascade_net", "cascade_net": {**CLOSE_UP, **values}})


def test_all_but_the_close_up_sees_the_film_reduced() -> None:
    """A film whose 2 x 2 px are alike has the levels and the features of the film of half its size."""
    torch.manual_seed(3)
    small = torch.randint(0, 255, (1, 1, 64, 64), dtype=torch.uint8)
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    model = with_close_up()
    plain = net(model={"name": "cascade_net", "cascade_net": CLOSE_UP | {"close_up_samples": 0, "reduction": 1}})
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("close_up.")})
    torch.testing.assert_close(model.heat(large), plain.heat(small))
    torch.testing.assert_close(model.predict(large).presence, plain.predict(small).presence)


def test_reduced_without_close_up_corners_are_those_of_the_small_film_enlarged() -> None:
    small = torch.randint(0, 255, (1, 1, 160, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    whole, reduced = net(), with_close_up(close_up_samples=0)
    reduced.load_state_dict(whole.state_dict())
    expected, found = whole.predict(small), reduced.predict(large)
    inside = (expected.corners_xy > 0).all(dim=-1) & (expected.corners_xy < 159).all(dim=-1)
    assert inside.any()
    torch.testing.assert_close(
        found.corners_xy[inside], from_reduced(expected.corners_xy, 2)[inside], atol=0.01, rtol=0
    )
    assert found.covariance_px2 is not None
    assert expected.covariance_px2 is not None
    torch.testing.assert_close(found.covariance_px2, 4 * expected.covariance_px2, rtol=1e-3, atol=1e-3)


def test_with_a_close_up_a_mirrored_film_has_mirrored_corners() -> None:
    model = with_close_up()
    images = torch.randint(0, 255, (1, 1, 128, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain, mirrored = model.predict(images), model.predict(images.flip(3))
    back = mirrored.corners_xy[:, :, [1, 0, 3, 2]] * torch.tensor([-1.0, 1.0]) + torch.tensor([63.0, 0.0])
    torch.testing.assert_close(back, plain.corners_xy, atol=0.1, rtol=0)


@pytest.mark.parametrize(
    ("parts", "heads"), [("close_up", ["close_up"]), ("all_but_close_up", ["levels", "shape", "corner"])]
)
def test_the_close_up_alone_or_all_but_it_is_trained_if_asked_for(parts: str, heads: list[str]) -> None:
    model = net(model={"name": "cascade_net", "cascade_net": CLOSE_UP}, training={"epochs": 1, "parts": parts})
    body = torch.tensor([[-10.0, -6.0], [10.0, -6.0], [-10.0, 6.0], [10.0, 6.0]])
    corners = torch.stack([body + torch.tensor([32.0, y]) for y in (90.0, 60.0)])[None]
    present, labelled = torch.ones(1, 2, dtype=torch.bool), torch.ones(1, dtype=torch.bool)
    images = torch.randint(0, 255, (1, 1, 128, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = FilmBatch(images, corners, present, labelled, torch.zeros(1, dtype=torch.long))
    losses = model.losses(batch)
    assert list(losses) == list(model.loss_heads()) == heads
    torch.stack(list(losses.values())).sum().backward()
    without = {name for name, value in model.named_parameters() if value.grad is None}
    assert without == model.unused_parameters()
    assert any(name.startswith("close_up.") for name in without) == ("close_up" not in heads)
    assert set(with_close_up().losses(batch)) == {
        "levels", "shape", "corner", "close_up",
    }  # fmt: skip


def test_no_close_up_cannot_be_trained_alone() -> None:
    with pytest.raises(ValueError, match=r"set model\.name=cascade_net and model\.cascade_net\.close_up_samples=80"):
        net(training={"epochs": 1, "parts": "close_up"})


def test_the_reduced_input_has_whole_cells() -> None:
    with pytest.raises(ValueError, match=r"data\.input_hw is 96 x 128 px: cascade_net with this reduction needs .* 64"):
        net(model={"name": "cascade_net", "cascade_net": CLOSE_UP}, data={"input_hw": [96, 128]})
    other = {"name": "unet", "cascade_net": CLOSE_UP}
    assert net(model=other, data={"input_hw": [96, 128]}).config.model.size_multiple == 32


def test_shares_and_shapes_of_several_outputs_are_averaged() -> None:
    shares = [torch.tensor([[[[0.1, 0.5]]]]), torch.tensor([[[[0.3, 0.1]]]])]
    several = [
        Levels(share.log(), torch.log(torch.tensor([[rest]])), torch.full((1, 3, 1, 2), size), torch.zeros(1))
        for share, rest, size in zip(shares, (0.4, 0.6), (1.0, 2.0), strict=True)
    ]
    mean = mean_levels(several)
    torch.testing.assert_close(mean.log_share.exp(), torch.tensor([[[[0.2, 0.3]]]]))
    torch.testing.assert_close(mean.log_absent.exp(), torch.tensor([[0.5]]))
    torch.testing.assert_close(mean.shapes, torch.full((1, 3, 1, 2), 1.5))


def test_a_corner_beyond_the_image_stays_there_and_is_not_definite() -> None:
    model = net()
    corners = torch.tensor([[[[-5.0, 2], [70, 2], [3, 95], [3, 96.5]]] * 2])
    found = FoundCorners(corners, torch.eye(2).expand(1, 2, 4, 2, 2), torch.ones(1, 2, 4))
    with patch("spondylo_ml.models.cascade_net.found_on_boxes", return_value=found):
        landmarks = model.predict(torch.zeros(1, 1, 96, 64, dtype=torch.uint8))
    torch.testing.assert_close(landmarks.corners_xy, corners)
    assert landmarks.heat_share is not None
    assert landmarks.heat_share[..., [0, 1, 3]].eq(0).all()
