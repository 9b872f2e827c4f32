"""Random changes of a film: seeded, and corners move with the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.data.augment import Augmenter, mirror
from spondylo_ml.landmarks import FloatArray, GreyImage

NOTHING: dict[str, float] = {
    "flip_probability": 0,
    "affine_probability": 0,
    "contrast_probability": 0,
    "noise_probability": 0,
    "blur_probability": 0,
    "clahe_probability": 0,
    "dropout_probability": 0,
}

coordinate = st.floats(-100, 200).map(lambda x: round(x, 3))
corner = st.one_of(st.tuples(coordinate, coordinate), st.just((np.nan, np.nan)))
corners = st.lists(corner, min_size=8, max_size=8).map(lambda c: np.array(c).reshape(2, 4, 2))


def noise(size_hw: tuple[int, int] = (96, 64)) -> GreyImage:
    return np.random.default_rng(0).integers(0, 255, size_hw, dtype=np.uint8)


def some_corners() -> FloatArray:
    out = np.random.default_rng(1).uniform(20, 44, (3, 4, 2))
    out[1, 2] = np.nan
    out[2] = np.nan
    return out


def blob_centroid(image: GreyImage) -> FloatArray:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image / image.sum(dtype=float)
    return np.array([(columns * weight).sum(), (rows * weight).sum()])


@given(corners)
def test_mirroring_twice_is_the_identity(points: FloatArray) -> None:
    image = noise((10, 7))
    mirrored = mirror(image, points)
    back, returned = mirror(*mirrored)
    np.testing.assert_array_equal(back, image)
    np.testing.assert_allclose(returned, points, atol=1e-9)


def test_mirroring_moves_pixels_and_corners_alike_and_exchanges_left_and_right() -> None:
    image = np.zeros((5, 9), dtype=np.uint8)
    image[2, 1] = 255
    points = np.full((1, 4, 2), np.nan)
    points[0, 0] = (1, 2)  # superior left
    mirrored, augmented = mirror(image, points)
    np.testing.assert_array_equal(np.argwhere(mirrored), [[2, 7]])
    np.testing.assert_array_equal(augmented[0, 1], [7, 2])  # superior right
    assert np.isnan(augmented[0, [0, 2, 3]]).all()


def test_a_certain_flip_gives_the_mirror_image() -> None:
    augmenter = Augmenter(AugmentationConfig.model_validate(NOTHING | {"flip_probability": 1}))
    image, points = augmenter(noise(), some_corners(), seed=3)
    expected_image, expected_points = mirror(noise(), some_corners())
    np.testing.assert_array_equal(image, expected_image)
    np.testing.assert_allclose(points, expected_points, atol=1e-4)


def test_the_same_seed_gives_the_same_film_and_another_seed_another() -> None:
    config = AugmentationConfig()
    image, points = Augmenter(config)(noise(), some_corners(), seed=5)
    reused = Augmenter(config)
    for seed in (9, 1):
        reused(noise(), some_corners(), seed=seed)
    repeated, points_again = reused(noise(), some_corners(), seed=5)
    np.testing.assert_array_equal(repeated, image)
    np.testing.assert_array_equal(points_again, points)
    others = [reused(noise(), some_corners(), seed=seed)[0] for seed in range(6, 12)]
    assert all((other != image).any() for other in others)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("config", [AugmentationConfig(enabled=False), AugmentationConfig.model_validate(NOTHING)])
def test_without_augmentation_the_film_is_unchanged(config: AugmentationConfig, seed: int) -> None:
    image, points = Augmenter(config)(noise(), some_corners(), seed=seed)
    np.testing.assert_array_equal(image, noise())
    np.testing.assert_allclose(points, some_corners(), atol=1e-5)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size_hw", [(96, 64), (64, 128)])
def test_corners_move_with_the_pixels(size_hw: tuple[int, int], seed: int) -> None:
    affine = NOTHING | {"affine_probability": 1, "shift_fraction": 0.08, "scale_fraction": 0.2, "rotation_deg": 25}
    augmenter = Augmenter(AugmentationConfig.model_validate(affine))
    height, width = size_hw
    rows, columns = np.mgrid[:height, :width]
    moved_px = 0.0
    for x, y in ((0.4, 0.4), (0.6, 0.45), (0.45, 0.62), (0.6, 0.6)):
        point = np.array([x * width, y * height])
        image = (255 * np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / 18)).astype(np.uint8)
        moved_image, augmented = augmenter(image, np.tile(point, (1, 4, 1)), seed)
        np.testing.assert_allclose(blob_centroid(moved_image), augmented[0, 0], atol=0.7)
        moved_px = max(moved_px, float(np.abs(augmented[0, 0] - point).max()))
    assert moved_px > 0.5


def test_absent_corners_stay_absent_and_the_others_stay_where_they_belong() -> None:
    for seed in range(10):
        _, points = Augmenter(AugmentationConfig())(noise(), some_corners(), seed=seed)
        absent = np.isnan(points).all(axis=2).sum(axis=1)
        np.testing.assert_array_equal(absent, [0, 1, 4])


def test_erased_rectangles_keep_all_corners() -> None:
    augmenter = Augmenter(AugmentationConfig.model_validate(NOTHING | {"dropout_probability": 1}))
    grid = np.stack(np.meshgrid(np.arange(0, 64, 4.0), np.arange(0, 96, 4.0)), axis=-1).reshape(-1, 4, 2)
    image, points = augmenter(np.full((96, 64), 200, dtype=np.uint8), grid, seed=0)
    assert (image == 0).any()
    np.testing.assert_allclose(points, grid, atol=1e-5)


def test_grey_level_changes_keep_corners_and_size() -> None:
    grey = NOTHING | {f"{name}_probability": 1 for name in ("contrast", "noise", "blur", "clahe")}
    image, points = Augmenter(AugmentationConfig.model_validate(grey))(noise(), some_corners(), seed=2)
    assert image.shape == (96, 64)
    assert image.dtype == np.uint8
    assert (image != noise()).mean() > 0.5
    np.testing.assert_allclose(points, some_corners(), atol=1e-5)


def test_a_film_without_any_corner_is_augmented_too() -> None:
    image, points = Augmenter(AugmentationConfig())(noise(), np.full((2, 4, 2), np.nan), seed=1)
    assert image.shape == (96, 64)
    assert np.isnan(points).all()
