"""Map films to the network's input, and coordinates back to the film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.data.window import Window
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray, GreyImage


@dataclass(frozen=True)
class Letterbox:
    """Affine map from film px to input px and back: the film, or a window of it, is scaled to fit, centred, and padded.

    Pixel centres have integer coordinates in both, so that x_input = (x_film + 0.5) * scale - 0.5 + offset, where
    x_film counts from the window's edge.

    Attributes:
        film_hw, input_hw: (H, W) px of the film and of the input.
        window: the part of the film that is the input; None for all of it.
    """

    film_hw: tuple[int, int]
    input_hw: tuple[int, int]
    window: Window | None = None

    @property
    def source_hw(self) -> tuple[int, int]:
        """Size of what is scaled, film px: the window after its turns, or the film."""
        return self.window.size_hw if self.window else self.film_hw

    @property
    def content_hw(self) -> tuple[int, int]:
        """Size of the scaled film or window inside the input, px."""
        scale = min(self.input_hw[0] / self.source_hw[0], self.input_hw[1] / self.source_hw[1])
        height, width = (max(1, round(side * scale)) for side in self.source_hw)
        return height, width

    @property
    def scale_xy(self) -> FloatArray:
        """Input px per film px along the axes of the input; x and y differ only by rounding to whole pixels."""
        (height, width), (source_height, source_width) = self.content_hw, self.source_hw
        return np.array([width / source_width, height / source_height])

    @property
    def offset_xy(self) -> FloatArray:
        """Padding left of and above the content, px."""
        (height, width), (input_height, input_width) = self.content_hw, self.input_hw
        return np.array([(input_width - width) // 2, (input_height - height) // 2], dtype=np.float64)

    def to_input(self, film_xy: FloatArray) -> FloatArray:
        """(..., 2) px of the film to px of the input."""
        source_xy = self.window.to_window(film_xy) if self.window else film_xy
        return np.asarray((source_xy + 0.5) * self.scale_xy - 0.5 + self.offset_xy)

    def to_film(self, input_xy: FloatArray) -> FloatArray:
        """(..., 2) px of the input to px of the film."""
        source_xy = np.asarray((input_xy - self.offset_xy + 0.5) / self.scale_xy - 0.5)
        return self.window.to_film(source_xy) if self.window else source_xy

    def covariance_to_film(self, covariance_px2: FloatArray) -> FloatArray:
        """(..., 2, 2) covariances of x and y from squared px of the input to squared px of the film."""
        source_px2 = np.asarray(covariance_px2 / np.outer(self.scale_xy, self.scale_xy))
        return self.window.covariance_to_film(source_px2) if self.window else source_px2

    def apply(self, image: GreyImage) -> GreyImage:
        """The (H, W) film, or its window, as network input: scaled, contrast stretched, padded with black."""
        if image.shape != self.film_hw:
            raise DataError(f"the film is {image.shape} (height, width), the map was made for {self.film_hw}")
        source = self.window.cut(image) if self.window else image
        height, width = self.content_hw
        shrinking = height < self.source_hw[0]
        scaled = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
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
