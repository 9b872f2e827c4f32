"""Draw strokes and fills on layers of attenuation. Pixel centres have integer coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.landmarks import FloatArray, GreyImage

FloatMap = NDArray[np.float32]

_SHIFT = 4
_FINE = 4
"""Supersampling factor for the bodies, whose edges must match the ground truth exactly."""


class Layer:
    """An 8-bit layer on which shapes overwrite each other; layers are summed afterwards."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.pixels: GreyImage = np.zeros(size_hw, dtype=np.uint8)

    def fill(self, outline_px: FloatArray, value: int) -> None:
        """Fill the outline (N, 2)."""
        cv2.fillPoly(self.pixels, [_fixed(outline_px)], value, cv2.LINE_AA, _SHIFT)

    def stroke(self, path_px: FloatArray, value: int, width_px: float, closed: bool = False) -> None:
        """Draw along the path (N, 2)."""
        width = max(round(width_px), 1)
        cv2.polylines(self.pixels, [_fixed(path_px)], closed, value, width, cv2.LINE_AA, _SHIFT)

    def weighted(self, weight: float, blur_px: float = 0.0) -> FloatMap:
        """The layer as attenuation, scaled so that 255 becomes `weight`, and blurred."""
        sheet = self.pixels.astype(np.float32)
        sheet *= weight / 255
        return blurred(sheet, blur_px) if blur_px > 0.3 else sheet


class Patch:
    """A supersampled window of the film for one small shape whose position must be exact."""

    def __init__(self, outline_px: FloatArray, size_hw: tuple[int, int], border_px: float) -> None:
        low = np.floor(outline_px.min(axis=0) - border_px).astype(int)
        high = np.ceil(outline_px.max(axis=0) + border_px).astype(int) + 1
        self.x0, self.y0 = (int(v) for v in np.maximum(low, 0))
        self.x1, self.y1 = (int(v) for v in np.minimum(high, [size_hw[1], size_hw[0]]))

    @property
    def empty(self) -> bool:
        """Whether the window is outside the film."""
        return self.x1 <= self.x0 or self.y1 <= self.y0

    @property
    def place(self) -> tuple[slice, slice]:
        """Slices of the window on the film."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def fill(self, outline_px: FloatArray) -> FloatMap:
        """Coverage of each pixel of the window, 0 to 1."""
        sheet = self._sheet()
        outline = self._fine(outline_px)
        cv2.fillPoly(sheet, [outline], 255, cv2.LINE_8, _SHIFT)
        cv2.polylines(sheet, [outline], True, 128, 1, cv2.LINE_8, _SHIFT)  # pixels on the outline are half covered
        return self._coarse(sheet)

    def strokes(self, paths_px: Sequence[FloatArray], values: Sequence[int], width_px: float) -> FloatMap:
        """Lines with the given values (0 to 255), scaled to 0 to 1."""
        sheet = self._sheet()
        width = max(round(width_px * _FINE), 1)
        for path, value in zip(paths_px, values, strict=True):
            cv2.polylines(sheet, [self._fine(path)], False, value, width, cv2.LINE_8, _SHIFT)
        return self._coarse(sheet)

    def _sheet(self) -> GreyImage:
        return np.zeros(((self.y1 - self.y0) * _FINE, (self.x1 - self.x0) * _FINE), dtype=np.uint8)

    def _fine(self, points_px: FloatArray) -> NDArray[np.int32]:
        return _fixed((points_px - [self.x0, self.y0] + 0.5) * _FINE - 0.5)

    def _coarse(self, sheet: GreyImage) -> FloatMap:
        small = cv2.resize(sheet, (self.x1 - self.x0, self.y1 - self.y0), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / np.float32(255)


def blurred(sheet: FloatMap, sigma_px: float) -> FloatMap:
    """Gaussian blur, computed on a reduced copy if it is wide, for speed."""
    if sigma_px < 4:
        return np.asarray(cv2.GaussianBlur(sheet, (0, 0), sigma_px), dtype=np.float32)
    step = max(int(sigma_px / 2), 1)
    height, width = sheet.shape
    small = cv2.resize(sheet, (max(width // step, 2), max(height // step, 2)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def rough(rng: np.random.Generator, size_hw: tuple[int, int], grain_px: float) -> FloatMap:
    """(H, W) smooth random field with about unit standard deviation and the given grain size."""
    height, width = size_hw
    grid = (max(round(height / grain_px), 2), max(round(width / grain_px), 2))
    small = rng.standard_normal(grid, dtype=np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def curve(knots: FloatArray, per_span: int = 6, closed: bool = False) -> FloatArray:
    """(M, 2) Catmull-Rom curve through the knots (N, 2)."""
    ends = (knots[-1:], knots[:2]) if closed else (2 * knots[:1] - knots[1:2], 2 * knots[-1:] - knots[-2:-1])
    p = np.concatenate([ends[0], knots, ends[1]])
    spans = len(p) - 3
    windows = np.stack([p[i : spans + i] for i in range(4)], axis=1)
    points = (_basis(per_span) @ windows).reshape(-1, 2)
    return np.asarray(points if closed else np.concatenate([points, knots[-1:]]))


@cache
def _basis(per_span: int) -> FloatArray:
    """(per_span, 4) weights of four consecutive knots along one span of a Catmull-Rom curve."""
    t = np.linspace(0, 1, per_span, endpoint=False)[:, None]
    matrix = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=np.float64)
    return np.asarray(0.5 * t ** np.arange(4) @ matrix)


def _fixed(points_px: FloatArray) -> NDArray[np.int32]:
    return np.rint(points_px * (1 << _SHIFT)).astype(np.int32)
