"""Finish of a frontal film on its grey levels: fog, local equalisation, collimator, letters and white edges."""

from __future__ import annotations

import cv2
import numpy as np

from spondylo_ml.data.frontal.framing import FrontalFraming
from spondylo_ml.data.phantom.framing import MARGIN_PX
from spondylo_ml.data.phantom.painting import FloatMap
from spondylo_ml.data.phantom.styles import Device, Exposure
from spondylo_ml.landmarks import GreyImage

_TEXTS = ("R", "L", "RT", "LT", "PA", "AP", "ERECT", "STANDING", "NEUTRAL", "SPINE AP", "SUPINE")
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)

_MARKED, _COLLIMATED, _STRIPPED = 0.45, 0.08, 0.06
"""Share of films with letters, with collimated sides, and with a white strip at one side."""


def finish(display: FloatMap, framing: FrontalFraming, rng: np.random.Generator) -> GreyImage:
    """(H, W) grey levels; nothing covers a labelled corner."""
    light = np.asarray(display * np.float32(255), dtype=np.float32)
    if rng.random() < _COLLIMATED:
        _collimate(light, framing, rng)
    printed = framing.style.device is Device.PRINT
    if rng.random() < (0.9 if printed else 0.15):
        light += np.float32(rng.uniform(0, 40 if printed else 18))  # base fog
    image: GreyImage = np.clip(light + 0.5, 0, 255).astype(np.uint8)
    if framing.style.exposure is Exposure.LOCAL:
        image = cv2.createCLAHE(float(rng.uniform(1.0, 3.5)), (8, 4)).apply(image).astype(np.uint8)
    if rng.random() < _MARKED:
        for _ in range(int(rng.integers(1, 3))):
            _write(image, framing, rng)
    if rng.random() < _STRIPPED:
        deep = min(rng.uniform(0.002, 0.02) * framing.size_hw[0], _room_px(framing)[0])
        image[:, : max(int(deep), 1)] = int(rng.uniform(150, 255))
    return image


def _room_px(framing: FrontalFraming) -> tuple[float, float]:
    """Width of the strips at the left and at the right that hold no labelled corner."""
    x = framing.labelled_px[..., 0]
    return float(x.min() - 2 * MARGIN_PX), float(framing.size_hw[1] - 1 - x.max() - 2 * MARGIN_PX)


def _collimate(light: FloatMap, framing: FrontalFraming, rng: np.random.Generator) -> None:
    """Darken what lies beyond the collimator's left and right leaf."""
    width = framing.size_hw[1]
    left, right = (max(room, 0.0) * rng.uniform(0.0, 0.7) for room in _room_px(framing))
    columns = np.arange(width, dtype=np.float32)
    open_ = np.clip(columns - np.float32(left), 0, 1) * np.clip(np.float32(width - 1 - right) - columns + 1, 0, 1)
    shade = np.float32(rng.choice([0.0, 0.0, 0.08, 0.2]))
    light *= shade + (1 - shade) * open_[None]


def _write(image: GreyImage, framing: FrontalFraming, rng: np.random.Generator) -> None:
    """Lead or console letters away from the spine, which may be cut off by the film's edge."""
    height, width = framing.size_hw
    text, font = _TEXTS[int(rng.integers(len(_TEXTS)))], _FONTS[int(rng.integers(len(_FONTS)))]
    size = height / 704 * rng.uniform(0.4, 1.2)
    (wide, high), _ = cv2.getTextSize(text, font, size, 1)
    spine = framing.labelled_px.reshape(-1, 2)
    for _ in range(8):
        x, y = rng.uniform(-0.2 * wide, width - 0.6 * wide), rng.uniform(high + 2, height - 3)
        if rng.random() < 0.5:
            y = rng.uniform(high + 2, 0.15 * height)
        gap = np.maximum(np.abs(spine - [x + wide / 2, y - high / 2]) - [wide / 2, high / 2], 0).max(axis=1).min()
        if gap > 0.35 * framing.unit_px:
            break
    else:
        return
    spot, thick = (int(x), int(y)), max(round(size * rng.uniform(1.2, 3.5)), 1)
    cv2.putText(image, text, spot, font, size, int(rng.uniform(150, 255)), thick, cv2.LINE_AA)
