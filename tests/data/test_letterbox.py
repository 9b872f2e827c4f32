"""The map between a film and the network's input, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.data.letterbox import Letterbox, common_input_hw
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import GreyImage

side = st.integers(1, 4000)
input_side = st.integers(1, 32).map(lambda n: 32 * n)
share = st.floats(-0.5, 1.5)


def blob(size_hw: tuple[int, int], x: float, y: float, sigma: float) -> GreyImage:
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    return (255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).round().astype(np.uint8)


def centroid(image: GreyImage) -> tuple[float, float]:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    weight = image / image.sum(dtype=float)
    return float((columns * weight).sum()), float((rows * weight).sum())


@settings(max_examples=300)
@given(side, side, input_side, input_side, share, share)
def test_film_to_input_and_back_returns_every_point(
    height: int, width: int, input_height: int, input_width: int, x: float, y: float
) -> None:
    letterbox = Letterbox((height, width), (input_height, input_width))
    point = np.array([x * width, y * height])
    np.testing.assert_allclose(letterbox.to_film(letterbox.to_input(point)), point, atol=1e-9 * max(height, width))
    np.testing.assert_allclose(letterbox.to_film(letterbox.to_input(point)), point, atol=0.01)


@given(side, side, input_side, input_side)
def test_the_whole_film_lies_inside_the_input_and_fills_one_side(
    height: int, width: int, input_height: int, input_width: int
) -> None:
    letterbox = Letterbox((height, width), (input_height, input_width))
    low, high = letterbox.to_input(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    assert (low >= -0.5 - 1e-6).all()
    assert high[0] <= input_width - 0.5 + 1e-6
    assert high[1] <= input_height - 0.5 + 1e-6
    assert letterbox.content_hw[0] == input_height or letterbox.content_hw[1] == input_width


def test_a_tall_film_in_a_square_is_worked_out_by_hand() -> None:
    letterbox = Letterbox((200, 100), (64, 64))
    assert letterbox.content_hw == (64, 32)
    np.testing.assert_allclose(letterbox.scale_xy, 0.32)
    np.testing.assert_array_equal(letterbox.offset_xy, [16, 0])
    # The film's first pixel centre is half a film pixel in: 0.5 * 0.32 - 0.5 = -0.34 from the content's first centre.
    np.testing.assert_allclose(letterbox.to_input(np.array([0.0, 0.0])), [15.66, -0.34])
    np.testing.assert_allclose(letterbox.to_input(np.array([99.5, 199.5])), [47.5, 63.5])


def test_a_film_of_the_inputs_size_is_mapped_to_itself() -> None:
    points = np.array([[0.0, 0.0], [63.0, 31.0], [10.25, 7.5]])
    letterbox = Letterbox((32, 64), (32, 64))
    np.testing.assert_allclose(letterbox.to_input(points), points, atol=1e-12)
    image = np.arange(32 * 64, dtype=np.uint16).reshape(32, 64).astype(np.uint8)
    image[0, 0], image[0, 1] = 0, 255
    assert np.abs(letterbox.apply(image).astype(int) - image).max() <= 3  # the contrast's outer half percent


@pytest.mark.parametrize("size_hw", [(300, 120), (120, 300), (200, 200), (40, 30), (501, 333)])
@pytest.mark.parametrize("where", [(0.3, 0.3), (0.5, 0.6), (0.72, 0.4)])
def test_a_bright_dot_lands_where_the_map_says(size_hw: tuple[int, int], where: tuple[float, float]) -> None:
    x, y = round(where[0] * size_hw[1]), round(where[1] * size_hw[0])
    letterbox = Letterbox(size_hw, (128, 96))
    result = centroid(letterbox.apply(blob(size_hw, x, y, sigma=min(size_hw) / 15)))
    np.testing.assert_allclose(result, letterbox.to_input(np.array([x, y], dtype=float)), atol=0.3)


def test_the_padding_is_black_and_the_content_is_not() -> None:
    image = np.random.default_rng(0).integers(100, 200, (200, 100), dtype=np.uint8)
    output = Letterbox((200, 100), (64, 64)).apply(image)
    assert output.shape == (64, 64)
    assert output.dtype == np.uint8
    assert output[:, :16].max() == output[:, 48:].max() == 0
    assert output[:, 16:48].mean() > 50


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"the film is \(10, 20\) \(height, width\), the map was made for \(20, 10\)"):
        Letterbox((20, 10), (32, 32)).apply(np.zeros((10, 20), dtype=np.uint8))


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_uniform_film_becomes_black(level: int) -> None:
    assert Letterbox((40, 30), (32, 32)).apply(np.full((40, 30), level, dtype=np.uint8)).max() == 0


def test_contrast_is_spread_over_all_grey_levels_whatever_gain_and_offset_were() -> None:
    image = np.tile(np.arange(100, 151, dtype=np.uint8), (51, 1))
    wide = stretch_contrast(image)
    assert (wide.min(), wide.max()) == (0, 255)
    np.testing.assert_array_equal(stretch_contrast(image - 60), wide)
    assert (np.diff(wide[0].astype(int)) >= 0).all()


def test_a_film_smaller_than_the_input_is_enlarged() -> None:
    assert Letterbox((10, 5), (64, 64)).content_hw == (64, 32)
    assert Letterbox((3000, 1), (64, 64)).content_hw == (64, 1)


@pytest.mark.parametrize(
    ("sizes", "side_px", "expected"),
    [
        ([(640, 640)], 128, (128, 128)),
        ([(400, 100)], 128, (256, 64)),  # height / width = 4, so 128 * 2 and 128 / 2
        ([(100, 400)], 128, (64, 256)),
        ([(100, 100), (200, 100), (900, 100)], 512, (736, 352)),  # median 2: 724.1 and 362.0, to multiples of 32
        ([(640, 640)], 40, (32, 32)),
        ([(6400, 10)], 64, (1632, 32)),  # 64 * 25.3 = 1619; never below one multiple
    ],
)
def test_the_common_input_has_the_films_median_shape(
    sizes: list[tuple[int, int]], side_px: int, expected: tuple[int, int]
) -> None:
    assert common_input_hw(sizes, side_px) == expected


@given(
    st.lists(st.tuples(st.integers(100, 3000), st.integers(100, 3000)), min_size=1, max_size=9), st.integers(32, 2048)
)
def test_the_common_input_is_always_a_positive_multiple_of_32(sizes: list[tuple[int, int]], side_px: int) -> None:
    height, width = common_input_hw(sizes, side_px)
    assert height % 32 == width % 32 == 0
    assert min(height, width) >= 32
