"""Random changes of a film: seeded, and corners move with the pixels."""

from __future__ import annotations

import random
from typing import Any

import albumentations as A
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.config.resolve import projects_dir, read_recipe
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

GEOMETRY: dict[str, dict[str, float]] = {
    "affine": {"shift_fraction": 0.08, "scale_fraction": 0.2, "rotation_deg": 25},
    "zoom": {"shift_fraction": 0, "scale_fraction": 0, "rotation_deg": 0, "zoom_fraction": 0.3},
    "shear": {"shift_fraction": 0, "scale_fraction": 0, "rotation_deg": 0, "shear_deg": 15},
    "wide": {"scale_fraction": 0.3, "rotation_deg": 90},
    "all": {"scale_fraction": 0.15, "rotation_deg": 30, "zoom_fraction": 0.2, "shear_deg": 10},
}
PIXELS_ALONE = ("inversion", "contrast", "tone_curve", "clahe", "downscale", "blur", "noise", "impulse_noise",
                "dropout", "box_corruption")  # fmt: skip
seeds = st.integers(0, 2**32 - 1)

coordinate = st.floats(-100, 200).map(lambda x: round(x, 3))
corner = st.one_of(st.tuples(coordinate, coordinate), st.just((np.nan, np.nan)))
corners = st.lists(corner, min_size=8, max_size=8).map(lambda c: np.array(c).reshape(2, 4, 2))


def noise(size_hw: tuple[int, int] = (96, 64)) -> GreyImage:
    return np.random.default_rng(0).integers(0, 255, size_hw, dtype=np.uint8)


def only(**values: Any) -> Augmenter:
    """An augmenter that does what is given and nothing else."""
    return Augmenter(AugmentationConfig.model_validate(NOTHING | values))


def strong() -> AugmentationConfig:
    recipe = read_recipe(projects_dir() / "augmentation" / "strong.yaml")
    return AugmentationConfig.model_validate(recipe["augmentation"])


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
    augmenter = only(flip_probability=1)
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


@pytest.mark.parametrize("size_hw", [(96, 64), (64, 128)])
@pytest.mark.parametrize("geometry", GEOMETRY.values(), ids=GEOMETRY)
def test_corners_move_with_the_pixels(geometry: dict[str, float], size_hw: tuple[int, int]) -> None:
    augmenter = only(affine_probability=1, **geometry)
    height, width = size_hw
    rows, columns = np.mgrid[:height, :width]
    moved_px = 0.0
    for seed in range(12):
        for x, y in ((0.4, 0.4), (0.6, 0.45), (0.45, 0.62), (0.6, 0.6)):
            point = np.array([x * width, y * height])
            image = (255 * np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / 18)).astype(np.uint8)
            moved_image, augmented = augmenter(image, np.tile(point, (1, 4, 1)), seed)
            np.testing.assert_allclose(blob_centroid(moved_image), augmented[0, 0], atol=0.7)
            moved_px = max(moved_px, float(np.abs(augmented[0, 0] - point).max()))
    assert moved_px > 2


def test_zoom_keeps_shapes_and_scale_does_not() -> None:
    square = np.array([[[20.0, 30], [40, 30], [20, 50], [40, 50]]])
    still: dict[str, Any] = {"affine_probability": 1, "shift_fraction": 0, "rotation_deg": 0}
    widths = []
    for seed in range(20):
        _, zoomed = only(**still, scale_fraction=0, zoom_fraction=0.4)(noise(), square, seed)
        _, scaled = only(**still, scale_fraction=0.4)(noise(), square, seed)
        (width, height), (scaled_width, scaled_height) = zoomed[0, 3] - zoomed[0, 0], scaled[0, 3] - scaled[0, 0]
        assert width == pytest.approx(height, abs=1e-3)
        assert abs(scaled_width - scaled_height) > 0.1
        widths.append(width)
    assert 12 <= min(widths) < 17 < 23 < max(widths) <= 28, "20 px, changed by at most 40 %"


def test_absent_corners_stay_absent_and_the_others_stay_where_they_belong() -> None:
    for seed in range(10):
        _, points = Augmenter(AugmentationConfig())(noise(), some_corners(), seed=seed)
        absent = np.isnan(points).all(axis=2).sum(axis=1)
        np.testing.assert_array_equal(absent, [0, 1, 4])


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
@pytest.mark.parametrize("name", PIXELS_ALONE)
def test_a_certain_change_of_pixels_changes_the_film_and_no_corner(name: str, seed: int) -> None:
    smooth = np.add.outer(np.arange(96), np.arange(64)).astype(np.uint8) + 20
    smooth[::2] += 40
    augmenter = only(**{f"{name}_probability": 1})
    changed = False
    for one in range(seed, seed + 4):  # a random curve may happen to be the identity, four in a row are not
        image, points = augmenter(smooth, some_corners(), one)
        assert (image.shape, image.dtype) == ((96, 64), np.uint8)
        np.testing.assert_allclose(points, some_corners(), atol=1e-5)
        changed |= bool((image != smooth).any())
    assert changed


@settings(deadline=None, max_examples=50)
@given(seed=seeds)
def test_strong_augmentation_keeps_what_is_absent_and_repeats_itself(seed: int) -> None:
    augmenter = Augmenter(strong())
    image, points = augmenter(noise(), some_corners(), seed)
    assert (image.shape, image.dtype) == ((96, 64), np.uint8)
    np.testing.assert_array_equal(np.isnan(points).all(axis=2).sum(axis=1), [0, 1, 4])
    repeated, points_again = augmenter(noise(), some_corners(), seed)
    np.testing.assert_array_equal(repeated, image)
    np.testing.assert_array_equal(points_again, points)


@given(seed=seeds)
def test_inversion_is_exact(seed: int) -> None:
    image, _ = only(inversion_probability=1)(noise(), some_corners(), seed)
    np.testing.assert_array_equal(image, 255 - noise())


@settings(deadline=None)
@given(seed=seeds)
def test_a_downscaled_film_stays_in_its_place_and_loses_detail(seed: int) -> None:
    rows, columns = np.mgrid[:96, :64]
    blob = (255 * np.exp(-((columns - 27.3) ** 2 + (rows - 51.6) ** 2) / 18)).astype(np.uint8)
    downscaler = only(downscale_probability=1, downscale_smallest=0.3)
    image, _ = downscaler(blob, some_corners(), seed)
    np.testing.assert_allclose(blob_centroid(image), blob_centroid(blob), atol=0.1)
    assert downscaler(noise(), some_corners(), seed)[0].std() < noise().std()


@pytest.mark.parametrize("seed", range(20))
def test_impulse_noise_is_black_and_white_and_limited(seed: int) -> None:
    grey = np.full((96, 64), 100, dtype=np.uint8)
    image, _ = only(impulse_noise_probability=1, impulse_noise_fraction=0.1)(grey, some_corners(), seed)
    assert set(np.unique(image[image != grey])) <= {0, 255}
    assert (image != grey).mean() <= 0.1


@pytest.mark.parametrize(("gamma", "expected"), [(1, 128), (2, 64), (0.5, 181)])
def test_gamma_is_the_exponent_of_grey_levels_between_0_and_1(gamma: float, expected: int) -> None:
    augmenter = only(contrast_probability=1, contrast_fraction=0, gamma_range=(gamma, gamma))
    image, _ = augmenter(np.full((8, 8), 128, dtype=np.uint8), some_corners(), seed=0)
    assert np.abs(image - float(expected)).max() <= 1, "255 * (128 / 255) ** gamma"


def test_a_range_of_gamma_that_falls_is_refused() -> None:
    with pytest.raises(ValueError, match="the smallest exponent must come first"):
        AugmentationConfig(gamma_range=(2, 0.5))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["black", "grey", "noise"])
def test_hidden_rectangles_keep_all_corners_and_their_size(kind: str, seed: int) -> None:
    values: dict[str, Any] = {"dropout_probability": 1, "dropout_largest_fraction": 0.25, "dropout_fill": kind}
    if kind == "noise":
        values = {"box_corruption_probability": 1, "box_corruption_largest_fraction": 0.25}
    grid = np.stack(np.meshgrid(np.arange(0, 64, 4.0), np.arange(0, 96, 4.0)), axis=-1).reshape(-1, 4, 2)
    whole = np.tile(np.arange(100, 228, 2, dtype=np.uint8), (96, 1))
    image, points = only(**values)(whole, grid, seed)
    hidden = image != whole
    assert 0 < hidden.sum() <= 4 * (96 // 4) * (64 // 4), "at most four rectangles of a quarter of each side"
    levels = len(np.unique(image[hidden]))
    assert levels == 1 if kind == "black" else (levels <= 4 if kind == "grey" else levels > 4)
    assert kind != "black" or image[hidden].max() == 0
    np.testing.assert_allclose(points, grid, atol=1e-5)


@pytest.mark.parametrize("values", [{}, {"clahe_probability": 0, "noise_probability": 1, "scale_fraction": 0.2}])
def test_presets_augment_as_before_there_were_more_steps(values: dict[str, float]) -> None:
    """The steps written out; byte for byte, or models trained with earlier presets could not be trained again."""
    config = AugmentationConfig.model_validate(values | {"flip_probability": 0})
    scale = config.scale_fraction
    steps = [
        A.Affine(translate_percent=(-0.05, 0.05), scale=(1 - scale, 1 + scale), rotate=(-10, 10), p=0.8),
        A.RandomBrightnessContrast(0.3, 0.3, p=0.5),
        A.RandomGamma(gamma_limit=(60, 160), p=0.5),
        A.CLAHE(clip_limit=(1, 4), p=config.clahe_probability),
        A.GaussianBlur(blur_limit=(3, 5), p=0.1),
        A.GaussNoise(std_range=(0.01, 0.06), p=config.noise_probability),
        A.CoarseDropout((1, 4), hole_height_range=(0.03, 0.12), hole_width_range=(0.03, 0.12), p=0.1),
    ]
    before = A.Compose(steps, keypoint_params=A.KeypointParams(format="xy", remove_invisible=False))
    augmenter, points = Augmenter(config), some_corners()[:1]
    for seed in range(40):
        before.set_random_state(np.random.default_rng(seed), random.Random(seed))
        expected = before(image=noise(), keypoints=points[0].astype(np.float32))
        image, augmented = augmenter(noise(), points, seed)
        assert image.tobytes() == expected["image"].tobytes()
        np.testing.assert_array_equal(augmented[0], np.asarray(expected["keypoints"], dtype=float))


def test_a_film_without_any_corner_is_augmented_too() -> None:
    image, points = Augmenter(AugmentationConfig())(noise(), np.full((2, 4, 2), np.nan), seed=1)
    assert image.shape == (96, 64)
    assert np.isnan(points).all()
