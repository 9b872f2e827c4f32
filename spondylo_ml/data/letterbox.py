"""Map films to the network's input, and coordinates back to the film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray, GreyImage


@dataclass(frozen=True)
class Letterbox:
    """Affine map from film px to input px and back: the film is scaled to fit, centred, and padded.

    Pixel centres have integer coordinates in both, so that x_input = (x_film + 0.5) * scale - 0.5 + offset.
    """

    film_hw: tuple[int, int]
    input_hw: tuple[int, int]

    @property
    def content_hw(self) -> tuple[int, int]:
        """Size of the scaled film inside the input, px."""
        scale = min(self.input_hw[0] / self.film_hw[0], self.input_hw[1] / self.film_hw[1])
        height, width = (max(1, round(side * scale)) for side in self.film_hw)
        return height, width

    @property
    def scale_xy(self) -> FloatArray:
        """Input px per film px; x and y differ only by rounding to whole pixels."""
        (height, width), (film_height, film_width) = self.content_hw, self.film_hw
        return np.array([width / film_width, height / film_height])

    @property
    def offset_xy(self) -> FloatArray:
        """Padding left of and above the film, px."""
        (height, width), (input_height, input_width) = self.content_hw, self.input_hw
        return np.array([(input_width - width) // 2, (input_height - height) // 2], dtype=np.float64)

    def to_input(self, film_xy: FloatArray) -> FloatArray:
        """(..., 2) px of the film to px of the input."""
        return np.asarray((film_xy + 0.5) * self.scale_xy - 0.5 + self.offset_xy)

    def to_film(self, input_xy: FloatArray) -> FloatArray:
        """(..., 2) px of the input to px of the film."""
        return np.asarray((input_xy - self.offset_xy + 0.5) / self.scale_xy - 0.5)

    def covariance_to_film(self, covariance_px2: FloatArray) -> FloatArray:
        """(..., 2, 2) covariances of x and y from squared px of the input to squared px of the film."""
        return np.asarray(covariance_px2 / np.outer(self.scale_xy, self.scale_xy))

    def apply(self, image: GreyImage) -> GreyImage:
        """The (H, W) film as network input: scaled, contrast stretched, padded with black."""
        if image.shape != self.film_hw:
            raise DataError(f"the film is {image.shape} (height, width), the map was made for {self.film_hw}")
        height, width = self.content_hw
        shrinking = height < self.film_hw[0]
        scaled = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
        canvas = np.zeros(self.input_hw, dtype=np.uint8)
        x, y = self.offset_xy.astype(int)
        canvas[y : y + height, x : x + width] = stretch_contrast(np.asarray(scaled, dtype=np.uint8))
        return canvas


def common_input_hw(sizes_hw: Sequence[tuple[int, int]], side_px: int, multiple: int = 32) -> tuple[int, int]:
    """(H, W) of an input with about the area of a square of `side_px` and the median aspect ratio of the films.

    The area determines cost and detail: tall films get a tall input instead of a square one that is mostly padding.
    """
    root = float(np.sqrt(np.median([height / width for height, width in sizes_hw])))
    height, width = (max(multiple, round(side / multiple) * multiple) for side in (side_px * root, side_px / root))
    return height, width
