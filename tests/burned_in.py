"""Text burnt into films, as hospitals' systems write it: white or black, sometimes on a plate, near a corner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from spondylo_ml.landmarks import GreyImage

WORDS = (
    "DOE^JANE 1950-12-31", "ID 4711", "31.12.1950 F", "ST MARY HOSPITAL", "2020/01/31 10:15", "MUELLER, ANNE",
    "Acc: 83921", "kV 80 mAs 12",
)  # fmt: skip
FONTS = ("DejaVuSans.ttf", "DejaVuSansMono.ttf")
HEIGHT = (0.012, 0.035)
"""Size of a font over the height of the film."""


def with_text(film: GreyImage, lines: int, rng: np.random.Generator) -> tuple[GreyImage, Sequence[NDArray[np.bool_]]]:
    """The film with lines of text in its corners, and (H, W) masks of the ink of each line."""
    image = film.copy()
    masks: list[NDArray[np.bool_]] = []
    for _ in range(lines):
        cover, (left, top, right, bottom) = _line(film.shape, rng)
        if any((mask & (cover > 0.5)).any() for mask in masks):
            continue
        ink = 255 if rng.random() < 0.85 or image[top:bottom, left:right].mean() < 120 else 0
        if rng.random() < 0.2:
            image[max(top - 4, 0) : bottom + 4, max(left - 4, 0) : right + 4] = 255 - ink
        image = np.round(image * (1 - cover) + ink * cover).astype(np.uint8)
        masks.append(cover > 0.5)
    return image, masks


def _line(shape_hw: tuple[int, ...], rng: np.random.Generator) -> tuple[NDArray[np.float64], tuple[int, int, int, int]]:
    """(H, W) cover of a line of text, 0 to 1, and its left, top, right and bottom."""
    height, width = shape_hw
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(str(fonts / FONTS[rng.integers(2)]), int(height * rng.uniform(*HEIGHT)))
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    text = WORDS[int(rng.integers(len(WORDS)))]
    _, top, right, bottom = (int(value) for value in draw.textbbox((0, 0), text, font=font))
    edge = int(height * 0.01)
    x = edge if rng.random() < 0.5 else max(width - right - edge, 0)
    near = rng.uniform(edge, 0.15 * height)
    y = int(near if rng.random() < 0.5 else height - bottom - near)
    draw.text((x, y), text, fill=255, font=font)
    return np.asarray(canvas) / 255.0, (x, y + top, min(x + right, width), y + bottom)
