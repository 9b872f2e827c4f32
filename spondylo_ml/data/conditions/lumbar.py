"""Lateral lumbar films under a condition; their truth moves with the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from spondylo_ml.data.conditions import not_lumbar
from spondylo_ml.data.conditions.scene import Request, Scene, changed, scene_of
from spondylo_ml.data.phantom.film import PhantomFilm
from spondylo_ml.data.phantom.foreign import METAL, screws_and_rods
from spondylo_ml.landmarks import Facing, FloatArray, GreyImage, Vertebra
from spondylo_ml.spacing import Spacing

CONE_MARGIN = 0.25
"""Distance of a tight collimator from the labelled corners, in depths of L3."""


def unchanged(request: Request) -> Scene:
    """The generator's film, to compare the others with."""
    return scene_of(request.film())


def inverted(request: Request) -> Scene:
    """Bone is dark."""
    return changed(scene_of(request.film()), lambda image: np.asarray(255 - image, dtype=np.uint8))


def mirrored(request: Request) -> Scene:
    """The patient faces the other way."""
    film = request.film()
    vertebrae = tuple(v.mirrored(film.size_hw[1]) for v in film.vertebrae)
    return scene_of(replace(film, facing=film.facing.mirrored(), vertebrae=vertebrae))


def rotated_90(request: Request) -> Scene:
    """The film lies on its side, turned either way. Corners keep the names that they have on the upright film."""
    scene = scene_of(request.film())
    height, width = scene.size_hw
    clockwise = bool(request.rng.random() < 0.5)

    def moved(vertebra: Vertebra) -> Vertebra:
        x, y = vertebra.corners_xy.T
        corners = np.stack([height - 1 - y, x] if clockwise else [y, width - 1 - x], axis=1)
        return Vertebra(vertebra.slot, corners, vertebra.visible)

    def paint() -> GreyImage:
        return np.ascontiguousarray(np.rot90(scene.paint(), -1 if clockwise else 1))

    spacing = scene.spacing and Spacing(scene.spacing.y_mm, scene.spacing.x_mm, scene.spacing.provenance)
    return Scene((width, height), tuple(map(moved, scene.vertebrae)), Facing.UNKNOWN, spacing, paint)


def rotated_180(request: Request) -> Scene:
    """The film is upside down. Corners keep the names that they have on the upright film."""
    scene = scene_of(request.film())
    last_xy = np.array(scene.size_hw[::-1]) - 1
    vertebrae = tuple(Vertebra(v.slot, last_xy - v.corners_xy, v.visible) for v in scene.vertebrae)

    def paint() -> GreyImage:
        return np.ascontiguousarray(np.rot90(scene.paint(), 2))

    return replace(scene, vertebrae=vertebrae, facing=Facing.UNKNOWN, paint=paint)


def coned(request: Request) -> Scene:
    """Everything but the labelled bodies and a narrow margin is behind the collimator."""
    film = request.film()
    corners = np.concatenate([v.corners_xy for v in film.vertebrae])
    margin = CONE_MARGIN * _depth_px(film) * request.rng.uniform(0.5, 1.5, 4)
    (left, top), (right, bottom) = corners.min(axis=0) - margin[:2], corners.max(axis=0) + margin[2:]

    def cone(image: GreyImage) -> GreyImage:
        height, width = image.shape
        y, x = np.arange(height)[:, None], np.arange(width)[None]
        return np.where((x >= left) & (x <= right) & (y >= top) & (y <= bottom), image, 4).astype(np.uint8)

    return changed(scene_of(film), cone)


def burnt_sacrum(request: Request) -> Scene:
    """The pelvis is white: most of S1, and all of S2 and what is below."""
    film, rng = request.film(), request.rng
    s1, depth = film.vertebrae[0].corners_xy, _depth_px(film)
    start, soft = s1[:2, 1].mean() + rng.uniform(-0.3, 0.3) * depth, rng.uniform(0.15, 0.5) * depth
    most, white = rng.uniform(0.85, 1.0), rng.uniform(225, 255)

    def burn(image: GreyImage) -> GreyImage:
        rows = np.arange(image.shape[0], dtype=np.float32)[:, None]
        share = most / (1 + np.exp(np.clip((start - rows) / soft, -30, 30)))
        lit = np.clip(image / np.float32(40), 0, 1)  # air beside the patient stays dark
        burnt = image + share * lit * np.maximum(white - image, 0)
        return np.asarray(np.clip(burnt + 0.5, 0, 255), dtype=np.uint8)

    return changed(scene_of(film), burn)


def hardware(request: Request) -> Scene:
    """Screws and rods in two to four levels."""
    film = request.film()

    def implant(image: GreyImage) -> GreyImage:
        sheet = screws_and_rods(film.framing, request.rng)
        metal = cv2.resize(sheet / METAL, image.shape[::-1], interpolation=cv2.INTER_LINEAR)
        metal = metal[:, ::-1] if film.facing is Facing.RIGHT else metal
        return np.asarray(image + np.clip(metal, 0, 1) * (250.0 - np.minimum(image, 250)), dtype=np.uint8)

    return changed(scene_of(film), implant)


def second_film(request: Request) -> Scene:
    """A frontal film of another patient on the same picture, on either side; the truth is that of the lateral film."""
    film, rng = request.film(), request.rng
    (height, width), gap = film.size_hw, int(rng.integers(0, 12))
    other_width, left = round(width * rng.uniform(0.7, 1.1)), bool(rng.random() < 0.5)
    state = int(rng.integers(2**32))
    shift = np.array([other_width + gap if left else 0, 0])

    def beside(image: GreyImage) -> GreyImage:
        other = not_lumbar.frontal_spine((height, other_width), np.random.default_rng(state))
        between = np.zeros((height, gap), dtype=np.uint8)
        return np.concatenate([other, between, image] if left else [image, between, other], axis=1)

    scene = changed(scene_of(film), beside)
    return replace(
        scene,
        size_hw=(height, width + gap + other_width),
        vertebrae=tuple(Vertebra(v.slot, v.corners_xy + shift, v.visible) for v in film.vertebrae),
    )


def _depth_px(film: PhantomFilm) -> float:
    """Median depth of the labelled bodies on the finished film."""
    plates: list[FloatArray] = [v.corners_xy[1] - v.corners_xy[0] for v in film.vertebrae]
    return float(np.median(np.linalg.norm(plates, axis=1)))


LUMBAR: dict[str, Callable[[Request], Scene]] = {
    "unchanged": unchanged,
    "inverted": inverted,
    "mirrored": mirrored,
    "rotated-90": rotated_90,
    "rotated-180": rotated_180,
    "coned": coned,
    "burnt-sacrum": burnt_sacrum,
    "hardware": hardware,
    "second-film": second_film,
}
"""Conditions of a lateral lumbar film, by name."""
