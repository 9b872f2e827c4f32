"""Convert attenuation to grey levels: Beer-Lambert law, scatter, noise, blur, display curve, shutters, marker."""

from __future__ import annotations

import cv2
import numpy as np

from spondylo_ml.data.phantom.additions import Addition
from spondylo_ml.data.phantom.additions.film_edges import mark_film
from spondylo_ml.data.phantom.framing import Ending, Framing
from spondylo_ml.data.phantom.painting import FloatMap, blurred, rough
from spondylo_ml.data.phantom.styles import Device, Exposure
from spondylo_ml.landmarks import GreyImage

_MARKERS = ("R", "L", "RT", "LT", "RT.", "TL", "SUP", "STAND")

_BLUR = {
    Device.DETECTOR: (0.20, 0.50),
    Device.PLATE: (0.35, 0.75),
    Device.PRINT: (0.45, 1.00),
    Device.EXPORT: (0.20, 0.65),
}
"""Range of the standard deviation of the system's blur, in px of a film 384 px high."""

_QUANTA = {
    Device.DETECTOR: (0.0006, 0.0025),
    Device.PLATE: (0.0012, 0.007),
    Device.PRINT: (0.0010, 0.005),
    Device.EXPORT: (0.0006, 0.006),
}
"""Range of the noise of a detected signal of 1."""

_RANGE_CUT = {
    Exposure.EVEN: (0.3, 1.0),
    Exposure.STEEP: (0.0, 0.3),
    Exposure.FLAT: (0.0, 0.4),
    Exposure.LOCAL: (0.2, 1.2),
}
"""Range of the amplification of fine over coarse contrast."""

_LOG_GAMMA = {Exposure.EVEN: 0.40, Exposure.STEEP: 0.70, Exposure.FLAT: 0.20, Exposure.LOCAL: 0.40}
"""Median of the logarithm of the display curve's exponent."""


def expose(nepers: FloatMap, framing: Framing, rng: np.random.Generator) -> FloatMap:
    """(H, W) detected attenuation after the exponential law, scatter, quantum noise and the system's blur."""
    device = framing.style.device
    scatter = np.float32(rng.uniform(0.0, 0.12))
    primary = np.exp(-nepers * np.float32(0.75))
    haze = blurred(primary, framing.depth_px * 1.2)
    detected = primary + scatter * np.minimum(haze, 0.08) + np.float32(0.0008)
    detected = blurred(detected, framing.size_hw[0] / 384 * rng.uniform(*_BLUR[device]))
    noise = rng.standard_normal(framing.size_hw, dtype=np.float32)
    if device is not Device.DETECTOR and rng.random() < 0.7:
        noise = 1.6 * blurred(noise, 0.6)  # a resampled film has correlated noise
    least, most = _QUANTA[device]
    if framing.style.exposure is Exposure.FLAT:
        least *= 1.5
    detected += noise * np.sqrt(detected) * np.float32(np.exp(rng.uniform(np.log(least), np.log(most))))
    return np.asarray(-np.log(np.maximum(detected, 1e-4)), dtype=np.float32)


def develop(signal: FloatMap, framing: Framing, rng: np.random.Generator) -> FloatMap:
    """(H, W) display values from 0 to 1 after range compression, edge enhancement, window and gamma."""
    exposure, unit = framing.style.exposure, framing.size_hw[0] / 384
    signal = signal + np.float32(rng.uniform(*_RANGE_CUT[exposure])) * (
        signal - blurred(signal, unit * rng.uniform(6, 24))
    )
    if rng.random() < 0.5:
        signal = signal + np.float32(rng.uniform(0.2, 1.0)) * (signal - blurred(signal, unit * rng.uniform(1.0, 1.6)))
    inside = signal[signal > np.float32(0.6)]
    levels = np.sort(inside[:: max(inside.size // 2000, 1)]) if inside.size > 50 else np.array([0.0, 1.0])
    burnt = 0.88 if exposure is Exposure.STEEP else 0.97
    low = levels[int(len(levels) * rng.uniform(0.0, 0.12))] - rng.uniform(0.0, 0.8)
    high = levels[int((len(levels) - 1) * rng.uniform(burnt, 0.999))] + rng.uniform(0.0, 0.4)
    display = np.clip((signal - np.float32(low)) / np.float32(max(high - low, 0.5)), 0, 1)
    display = np.power(display, np.float32(np.exp(rng.normal(_LOG_GAMMA[exposure], 0.30))))
    if exposure is Exposure.FLAT:
        display = np.float32(rng.uniform(0.0, 0.25)) + np.float32(rng.uniform(0.35, 0.7)) * display
    uneven = 1 + np.float32(rng.uniform(0.0, 0.12)) * rough(rng, framing.size_hw, framing.size_hw[0] / 3)
    return np.asarray(display * uneven * np.float32(rng.uniform(0.75, 1.0)), dtype=np.float32)


def finish(display: FloatMap, framing: Framing, rng: np.random.Generator) -> GreyImage:
    """(H, W) grey levels with shutters, side marker and border."""
    light = np.asarray(display * np.float32(255), dtype=np.float32)
    _shutters(light, framing, rng)
    printed = framing.style.device is Device.PRINT
    if rng.random() < (0.9 if printed else 0.15):
        light += np.float32(rng.uniform(0, 40 if printed else 18))  # base fog
    image: GreyImage = np.clip(light + 0.5, 0, 255).astype(np.uint8)
    if framing.style.exposure is Exposure.LOCAL:
        image = cv2.createCLAHE(float(rng.uniform(1.0, 4.0)), (8, 8)).apply(image).astype(np.uint8)
    if rng.random() < 0.7:
        _marker(image, framing, rng)
    if rng.random() < (0.3 if printed else 0.06):
        edge = max(round(framing.size_hw[0] * 0.006), 1)
        image[:, :edge] = 250
    if Addition.SURROUNDINGS in framing.additions:
        mark_film(image, framing, rng.spawn(1)[0])
    return image


def _shutters(image: FloatMap, framing: Framing, rng: np.random.Generator) -> None:
    """Darken the regions covered by the collimator, which never include a labelled corner."""
    height, width = framing.size_hw
    labelled = framing.corners_px[: framing.labelled].reshape(-1, 2)
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    left, right, bottom = 0.0, float(width), float(height)
    if rng.random() < 0.35:
        left, right = rng.uniform(0.0, 0.7) * low[0], width - rng.uniform(0.0, 0.7) * (width - high[0])
    if rng.random() < 0.2:
        bottom = height - rng.uniform(0.0, 0.6) * (height - high[1])
    top = framing.ending_px if framing.ending is Ending.SHUTTER else 0.0
    shade = np.float32(rng.choice([0.0, 0.0, 0.06, 0.15]))
    soft = np.float32(framing.size_hw[0] / 384 * rng.uniform(0.3, 1.5))
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    open_x = _open(x, left, right, width, soft)
    open_y = _open(y, top, bottom, height, soft)
    field = open_x[None] * open_y[:, None]
    image *= shade + (1 - shade) * field


def _open(at: FloatMap, start: float, end: float, length: int, soft: np.float32) -> FloatMap:
    """(N,) share of transmitted light along one axis."""
    through = np.ones_like(at)
    if start > 0:
        through *= np.clip((at - np.float32(start)) / soft + 0.5, 0, 1)
    if end < length:
        through *= np.clip((np.float32(end) - at) / soft + 0.5, 0, 1)
    return through


def _marker(image: GreyImage, framing: Framing, rng: np.random.Generator) -> None:
    """Draw a lead side marker away from the spine: letters, sometimes on a white plate."""
    height, width = framing.size_hw
    text = _MARKERS[int(rng.integers(len(_MARKERS)))]
    size = height / 384 * rng.uniform(0.35, 0.8)
    (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    spine = framing.corners_px.reshape(-1, 2)
    for _ in range(6):
        x, y = rng.uniform(2, max(width - w - 4, 3)), rng.uniform(h + 3, height - 4)
        gap = np.maximum(np.abs(spine - [x + w / 2, y - h / 2]) - [w / 2, h / 2], 0).max(axis=1).min()
        if gap > framing.depth_px * 0.9:
            break
    else:
        return
    spot, edge = (int(x), int(y)), max(round(size * 4), 2)
    thick = max(round(size * rng.uniform(1.2, 2.4)), 1)
    ink = int(rng.uniform(170, 255))
    if rng.random() < 0.35:
        cv2.rectangle(image, (spot[0] - edge, spot[1] - h - edge), (spot[0] + w + edge, spot[1] + edge), ink, -1)
        ink = 10
    cv2.putText(image, text, spot, cv2.FONT_HERSHEY_SIMPLEX, size, ink, thick, cv2.LINE_AA)
