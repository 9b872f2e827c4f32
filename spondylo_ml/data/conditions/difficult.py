"""What makes many real films hard to read: slips over lost discs, bowel gas, strong enhancement of contrast.

The first two are in the patient; the last is done to the picture by a console, or by whoever published it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from spondylo_ml.data.conditions.scene import Request, Scene, changed, scene_of
from spondylo_ml.data.phantom.film import PhantomFilm
from spondylo_ml.data.phantom.painting import FloatMap, blurred, rough
from spondylo_ml.data.phantom.posture import Posture
from spondylo_ml.landmarks import Facing, FloatArray, GreyImage

SLIPPED = 8.0
"""Percent from which a step is a slip, not a physiological one."""

_GAS, _ENHANCEMENT = 6, 7
"""Third words of the seeds of these draws."""

_SLIP_SHARES = (0.37, 0.40, 0.13, 0.06, 0.04)
"""How often a slip is added at L5/S1, L4/L5 and so on, to a patient who has none."""


def narrow_discs(request: Request) -> Scene:
    """A slip over a disc that is nearly lost, and some other narrow discs."""
    return scene_of(_worn(request))


def bowel_gas(request: Request) -> Scene:
    """Bowel with gas in front of the spine and over it."""
    return _with_gas(request, request.film())


def enhanced(request: Request) -> Scene:
    """Coarse contrast removed, fine contrast and noise raised, as some consoles and publishers do."""
    return changed(scene_of(request.film()), _enhancement(request))


def difficult(request: Request) -> Scene:
    """All three on one film."""
    return changed(_with_gas(request, _worn(request)), _enhancement(request))


def _worn(request: Request) -> PhantomFilm:
    """The patient years later: the most slipped level, or a new slip, over a lost disc."""
    rng, slips = request.rng, request.film().slip_percent
    n_levels = len(slips)
    if not n_levels:  # a film of one body
        return request.film()
    level = int(np.argmax(np.abs(slips)))
    added = {}
    if abs(slips[level]) < SLIPPED:
        shares = np.array(_SLIP_SHARES[:n_levels])
        level = int(rng.choice(len(shares), p=shares / shares.sum()))
        added = {level: rng.uniform(SLIPPED, 45.0) - slips[level]}
    narrowing = {other: rng.uniform(0.2, 0.9) for other in range(n_levels) if rng.random() < 0.35}
    return request.film(Posture(slip_percent=added, narrowing=narrowing | {level: rng.uniform(0.6, 1.0)}))


def _with_gas(request: Request, film: PhantomFilm) -> Scene:
    """One to four heaps of bowel with gas between the bodies and the front of the patient."""
    rng = np.random.default_rng([request.seed, request.index, _GAS])
    centres = np.stack([vertebra.corners_xy.mean(axis=0) for vertebra in film.vertebrae])
    depth = float(np.median([np.linalg.norm(v.corners_xy[1] - v.corners_xy[0]) for v in film.vertebrae]))
    front = 1.0 if film.facing is Facing.RIGHT else -1.0
    heaps = []
    for _ in range(int(rng.integers(1, 5))):
        beside = centres[int(rng.integers(0, min(len(centres), 6)))]
        at = beside + np.array([front * rng.uniform(0.1, 2.2), rng.uniform(-0.8, 0.8)]) * depth
        heaps.append((at, rng.uniform(0.4, 1.1) * depth))
    state = int(rng.integers(2**32))

    def gas(image: GreyImage) -> GreyImage:
        return _gas(image, heaps, depth, np.random.default_rng(state))

    return changed(scene_of(film), gas)


def _gas(
    image: GreyImage, heaps: list[tuple[FloatArray, float]], depth_px: float, rng: np.random.Generator
) -> GreyImage:
    """(H, W) picture with gas in heaps, each a place xy and a radius in px: irregular bubbles with thin walls."""
    height, width = image.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    near = np.full(image.shape, -3.0, dtype=np.float32)
    for (at_x, at_y), radius_px in heaps:
        stretch = rng.uniform(0.6, 1.6)
        distance = np.hypot((x - at_x) / stretch, (y - at_y) * stretch) / radius_px
        near = np.maximum(near, (1.6 - 1.6 * distance).astype(np.float32))
    bubbles = near + rough(rng, image.shape, depth_px * rng.uniform(0.12, 0.5))
    air = 1 / (1 + np.exp(np.clip(-bubbles * np.float32(rng.uniform(2.5, 7)), -30, 30)))
    wall = blurred(air, max(depth_px * 0.02, 0.5))
    wall = 4 * wall * (1 - wall)  # 1 where gas ends
    dark = image * (1 - np.float32(rng.uniform(0.2, 0.75)) * air) + np.float32(rng.uniform(0, 25)) * wall * (image > 8)
    return np.asarray(np.clip(dark + 0.5, 0, 255), dtype=np.uint8)


def _enhancement(request: Request) -> Callable[[GreyImage], GreyImage]:
    state = [request.seed, request.index, _ENHANCEMENT]

    def enhance(image: GreyImage) -> GreyImage:
        rng = np.random.default_rng(state)
        return _enhanced(image, rng)

    return enhance


def _enhanced(image: GreyImage, rng: np.random.Generator) -> GreyImage:
    """(H, W) picture with local histogram equalisation or without, less coarse contrast, sharper, and with noise."""
    height, unit = image.shape[0], image.shape[0] / 384
    if rng.random() < 0.6:
        tiles = int(rng.integers(4, 13))
        image = cv2.createCLAHE(float(rng.uniform(1.5, 5.0)), (tiles, tiles)).apply(image).astype(np.uint8)
    light: FloatMap = image.astype(np.float32) / np.float32(255)
    coarse = blurred(light, height * rng.uniform(0.03, 0.12))
    lit: FloatMap = np.clip(coarse * 8, 0, 1).astype(np.float32)  # no change in the black around the patient
    light = light - lit * np.float32(rng.uniform(0.2, 0.8)) * (coarse - np.float32(coarse.mean()))
    low, high = np.percentile(light, [rng.uniform(0.5, 4.0), 100 - rng.uniform(0.5, 4.0)])
    windowed = np.clip((light - low) / max(float(high - low), 0.35), 0, 1)
    light = np.asarray(windowed ** np.exp(rng.normal(0.0, 0.3)), dtype=np.float32)
    fine = blurred(light, unit * rng.uniform(0.8, 3.0))
    light = light + np.float32(rng.uniform(0.0, 1.0)) * (light - fine)
    noise = blurred(rng.standard_normal(image.shape).astype(np.float32), unit * rng.uniform(0.3, 0.8))
    light = light + lit * noise / noise.std() * np.float32(rng.uniform(0.0, 0.07))
    return np.asarray(np.clip(light, 0, 1) * 255 + 0.5, dtype=np.uint8)


DIFFICULT: dict[str, Callable[[Request], Scene]] = {
    "narrow-discs": narrow_discs,
    "bowel-gas": bowel_gas,
    "enhanced": enhanced,
    "difficult": difficult,
}
"""Difficult lateral lumbar films, by name."""
