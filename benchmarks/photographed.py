"""Synthetic films as photographs of a screen or a light box: a style that no training film of the project has.

Perspective of a hand-held camera, light that falls off towards the edges, a window reflected on the surface, the moiré
of a screen, blur, noise and JPEG. Corners are moved with the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from spondylo_ml.landmarks import Film, FloatArray, GreyImage, ImageSource, Vertebra

PERSPECTIVE = 0.06  # of width and height, by which each corner of the print moves at most
JPEG_QUALITY = 35


@dataclass(frozen=True)
class Photograph:
    """Pixels of a photographed film, made when they are read."""

    film: ImageSource
    seed: int

    def read(self) -> GreyImage:
        """(H, W) grey levels, 0 to 255."""
        random = np.random.default_rng(self.seed)
        flat = self.film.read()
        height, width = flat.shape
        image = cv2.warpPerspective(
            flat, homography((height, width), self.seed), (width, height), flags=cv2.INTER_AREA, borderValue=235
        )
        light = image.astype(np.float32) / 255
        light = light ** random.uniform(0.55, 0.9) * _lamp((height, width), random)
        light = light + _reflection((height, width), random) + _moire((height, width), random)
        blur_px = random.uniform(0.8, 2.2) * max(height, width) / 768
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), blur_px), dtype=np.float64)
        light = light + random.normal(0, random.uniform(0.02, 0.05), light.shape)
        grey = (np.clip(light, 0, 1) * 255).astype(np.uint8)
        written, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert written
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)

    def fingerprint(self) -> str:
        """See the protocol."""
        return f"photograph-{self.seed}-{self.film.fingerprint()}"


def photographed(films: Sequence[Film], seed: int) -> list[Film]:
    """The films as photographs, each with its own perspective and light."""
    return [_photograph(film, seed + index) for index, film in enumerate(films)]


def homography(size_hw: tuple[int, int], seed: int) -> FloatArray:
    """(3, 3) matrix that takes a place on the print to one on the photograph, xy in px."""
    random = np.random.default_rng([seed, 1])
    height, width = size_hw
    print_xy = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float32)
    moved = print_xy + random.uniform(-PERSPECTIVE, PERSPECTIVE, (4, 2)) * (width, height)
    return np.asarray(cv2.getPerspectiveTransform(print_xy, moved.astype(np.float32)), dtype=np.float64)


def _photograph(film: Film, seed: int) -> Film:
    matrix, (height, width) = homography(film.size_hw, seed), film.size_hw

    def moved(vertebra: Vertebra) -> Vertebra:
        corners = cv2.perspectiveTransform(vertebra.corners_xy[None], matrix)[0]
        return Vertebra(vertebra.slot, np.clip(corners, 0, (width - 1, height - 1)), vertebra.visible)

    vertebrae = tuple(map(moved, film.vertebrae or ()))
    # A photograph has no scale: its spacing differs from place to place.
    return replace(film, image=Photograph(film.image, seed), vertebrae=vertebrae, spacing=None, source="photograph")


def _lamp(size_hw: tuple[int, int], random: np.random.Generator) -> FloatArray:
    """Brightness of the light box, 1 at its brightest."""
    x, y = _grid(size_hw)
    middle_x, middle_y, fall = random.uniform(0.3, 0.7), random.uniform(0.3, 0.7), random.uniform(0.6, 1.6)
    light: FloatArray = np.exp(-fall * ((x - middle_x) ** 2 + (y - middle_y) ** 2))
    return light


def _reflection(size_hw: tuple[int, int], random: np.random.Generator) -> FloatArray:
    """A window mirrored on the print: a bright oblique band with soft edges."""
    x, y = _grid(size_hw)
    angle, place, width = random.uniform(0, np.pi), random.uniform(0.1, 0.9), random.uniform(0.04, 0.12)
    across = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.5
    band: FloatArray = np.exp(-(((across - place) / width) ** 4))
    return band * random.uniform(0.1, 0.5)


def _moire(size_hw: tuple[int, int], random: np.random.Generator) -> FloatArray:
    """Two fine gratings that beat: curved bands of 10 to 40 to a film."""
    x, y = _grid(size_hw)
    angle, count, bend = random.uniform(0, np.pi), random.uniform(10, 40), random.uniform(-0.3, 0.3)
    along = x * np.cos(angle) + y * np.sin(angle) + bend * (x**2 + y**2)
    bands: FloatArray = np.sin(2 * np.pi * count * along)
    return random.uniform(0.0, 0.05) * bands


def _grid(size_hw: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    height, width = size_hw
    y, x = np.mgrid[0:height, 0:width]
    return x / max(height, width), y / max(height, width)
