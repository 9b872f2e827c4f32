"""A rectangle of a film that is read by itself, as it is or turned by quarter turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import FloatArray, GreyImage

QUARTER_TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])
"""Takes a step on the film after a clockwise quarter turn to the same step before it; y points down."""


@dataclass(frozen=True)
class Window:
    """The pixels of a rectangle, and the map between film and window.

    Pixel centres have integer coordinates in both. Turning a film does not change the names of corners, which are those
    that they have with the patient's head up.

    Attributes:
        left, top, width, height: px of the film.
        quarter_turns: how often the rectangle is turned clockwise before it is read, 0 to 3.

    Raises:
        DataError: an empty rectangle, one that begins outside the film, or another number of turns.
    """

    left: int
    top: int
    width: int
    height: int
    quarter_turns: int = 0

    def __post_init__(self) -> None:
        if min(self.left, self.top) < 0 or min(self.width, self.height) < 1 or self.quarter_turns not in range(4):
            raise DataError(
                "a window lies on the film, has at least one px, and is turned by 0 to 3 quarter turns; given "
                f"left {self.left}, top {self.top}, {self.width} x {self.height} px, {self.quarter_turns} turns"
            )

    @property
    def size_hw(self) -> tuple[int, int]:
        """(H, W) after turning."""
        return (self.width, self.height) if self.quarter_turns % 2 else (self.height, self.width)

    @property
    def _start_xy(self) -> FloatArray:
        return np.array([self.left, self.top], dtype=np.float64)

    def cut(self, image: GreyImage) -> GreyImage:
        """The pixels of the window in an (H, W) film.

        Raises:
            DataError: the window reaches beyond the film.
        """
        right, bottom = self.left + self.width, self.top + self.height
        if right > image.shape[1] or bottom > image.shape[0]:
            raise DataError(
                f"a film of {image.shape[1]} x {image.shape[0]} px does not hold a window that ends at "
                f"({right}, {bottom})"
            )
        inside = image[self.top : bottom, self.left : right]
        return np.ascontiguousarray(np.rot90(inside, -self.quarter_turns))

    def to_window(self, film_xy: FloatArray) -> FloatArray:
        """(..., 2) px of the film to px of the window."""
        xy, height, width = np.asarray(film_xy) - self._start_xy, self.height, self.width
        for _ in range(self.quarter_turns):
            xy = np.stack([height - 1 - xy[..., 1], xy[..., 0]], axis=-1)
            height, width = width, height
        return np.asarray(xy, dtype=np.float64)

    def to_film(self, window_xy: FloatArray) -> FloatArray:
        """(..., 2) px of the window to px of the film."""
        xy, (height, width) = np.asarray(window_xy), self.size_hw
        for _ in range(self.quarter_turns):
            xy = np.stack([xy[..., 1], width - 1 - xy[..., 0]], axis=-1)
            height, width = width, height
        return np.asarray(xy + self._start_xy, dtype=np.float64)

    def covariance_to_film(self, covariance_px2: FloatArray) -> FloatArray:
        """(..., 2, 2) covariances of x and y from the axes of the window to those of the film."""
        turn = np.linalg.matrix_power(QUARTER_TURN, self.quarter_turns)
        return np.asarray(turn @ covariance_px2 @ turn.T)


def whole_film(size_hw: tuple[int, int], quarter_turns: int = 0) -> Window:
    """The window of a whole film of (H, W) px."""
    return Window(0, 0, size_hw[1], size_hw[0], quarter_turns)
