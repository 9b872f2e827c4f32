"""The close-up: patches by hand, and corners of rectangles that it has learned to find."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spondylo_ml.models.close_up import LEAST_CONTRAST, CloseUp
from spondylo_ml.models.corner_grids import decode_grids
from spondylo_ml.models.oriented_boxes import boxes_of_bodies, to_px

BODY = torch.tensor([[-14.0, -9.0], [14.0, -9.0], [-14.0, 9.0], [14.0, 9.0]])
APART = torch.tensor([[24.0, 24.0], [70.0, 24.0], [24.0, 70.0], [70.0, 70.0]])


def film(*centres_xy: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """A film with a bright rectangle around each point, and the corners of these: (1, 1, H, W), (1, V, 4, 2)."""
    image = torch.full((1, 1, 96, 96), 40.0)
    for x, y in centres_xy:
        image[0, 0, int(y) - 9 : int(y) + 10, int(x) - 14 : int(x) + 15] = 200
    corners = torch.stack([BODY + torch.tensor(centre) for centre in centres_xy])[None]
    return image, corners


def test_a_patch_has_mean_0_and_the_contrast_of_the_film_does_not_matter() -> None:
    images, corners = film((40.0, 40.0))
    close_up, boxes = CloseUp(16), boxes_of_bodies(corners)
    patch = close_up.patches(images, boxes)
    assert patch.shape == (1, 1, 16, 16)
    assert float(patch.mean()) == pytest.approx(0, abs=1e-5)
    brighter = close_up.patches(images * 3, boxes)  # LEAST_CONTRAST is all that is left of it
    ratio = float(brighter.std() / patch.std())
    spread = float(1 / (1 / patch.std() - 1) * LEAST_CONTRAST)
    assert ratio == pytest.approx(3 * (spread + LEAST_CONTRAST) / (3 * spread + LEAST_CONTRAST), rel=1e-3)


def test_an_empty_film_has_empty_patches() -> None:
    images, corners = film((40.0, 40.0))
    patch = CloseUp(16).patches(torch.zeros_like(images), boxes_of_bodies(corners))
    assert not patch.any()


def test_bodies_that_are_not_complete_do_not_count() -> None:
    images, corners = film((30.0, 30.0), (60.0, 60.0))
    torch.manual_seed(0)
    close_up, boxes = CloseUp(16).eval(), boxes_of_bodies(corners)
    both = torch.ones(1, 2, dtype=torch.bool)
    first = torch.tensor([[True, False]])
    unknown = torch.where(first[..., None, None], corners, torch.nan)
    with torch.no_grad():
        alone = close_up.loss(images, boxes[:, :1], corners[:, :1], both[:, :1], 0.9)
        with_unknown = close_up.loss(images, boxes_of_bodies(unknown), unknown, first, 0.9)
        nothing = close_up.loss(images, boxes, corners, ~both, 0.9)
    assert float(with_unknown) == pytest.approx(float(alone))
    assert float(nothing) == 0


def test_corners_are_found_to_a_pixel_from_a_box_that_is_off() -> None:
    torch.manual_seed(0)
    close_up = CloseUp(32).train()
    optimizer = torch.optim.AdamW(close_up.parameters(), lr=8e-3)
    for _ in range(40):
        moved = (APART + torch.randint(-6, 7, (4, 2))).tolist()
        images, corners = film(*((x, y) for x, y in moved))
        complete = torch.ones(1, 4, dtype=torch.bool)
        optimizer.zero_grad()
        close_up.loss(images, boxes_of_bodies(corners), corners, complete, 0.9).backward()
        optimizer.step()
    close_up.eval()
    images, corners = film((45.0, 50.0))
    moved = boxes_of_bodies(corners) + torch.tensor([3.0, -2.0, 0.1, -0.1, 0.05])
    with torch.no_grad():
        grids = decode_grids(close_up.shares(images, moved, flip_average=False))
    error_px = (to_px(moved, grids.points[None]) - corners).norm(dim=-1)
    assert float(error_px.max()) < 1.5
