"""Crude phantoms of what is no lateral lumbar film: another part of the body, a blank, noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spondylo_ml.data.conditions.scene import Request, Scene
from spondylo_ml.data.phantom.painting import FloatMap, Layer, blurred, curve, rough
from spondylo_ml.landmarks import Facing, FloatArray, GreyImage


def blank(size_hw: tuple[int, int], rng: np.random.Generator) -> GreyImage:
    """Nothing but a background, with a little noise on some."""
    flat = np.full(size_hw, rng.uniform(0, 255), dtype=np.float32)
    flat += np.float32(rng.choice([0.0, 15.0])) * np.linspace(-1, 1, size_hw[1], dtype=np.float32)
    return _grey(flat + np.float32(rng.choice([0.0, 2.0])) * rng.standard_normal(size_hw, dtype=np.float32))


def noise(size_hw: tuple[int, int], rng: np.random.Generator) -> GreyImage:
    """Noise of fine, coarse or both grains."""
    sheet = rng.standard_normal(size_hw, dtype=np.float32) * np.float32(rng.uniform(10, 50))
    return _grey(128 + sheet + np.float32(rng.uniform(0, 60)) * rough(rng, size_hw, rng.uniform(4, 80)))


def chest(size_hw: tuple[int, int], rng: np.random.Generator) -> GreyImage:
    """A frontal chest film: lungs, heart, ribs, clavicles, spine, domes of the diaphragm."""
    height, width = size_hw
    unit = np.array([width, height]) * rng.uniform(0.92, 1.05)
    lungs, bright, ribs = (Layer(size_hw) for _ in range(3))
    for side in (-1, 1):
        knots = np.array([[0.08, 0.10], [0.22, 0.12], [0.33, 0.40], [0.36, 0.78], [0.20, 0.70], [0.09, 0.74]])
        lungs.fill(curve(_beside(knots, side, unit, rng), closed=True), 255)
        for number in range(9):
            drop = 0.10 + 0.075 * number
            knots = np.array([[0.05, drop], [0.20, drop - 0.01], [0.37, drop + 0.09], [0.25, drop + 0.17]])
            ribs.stroke(curve(_beside(knots, side, unit, rng)), 200, 0.018 * width)
        clavicle = np.array([[0.03, 0.14], [0.18, 0.10], [0.36, 0.08]])
        ribs.stroke(curve(_beside(clavicle, side, unit, rng)), 255, 0.022 * width)
    heart = np.array([[-0.06, 0.40], [0.10, 0.48], [0.19, 0.70], [0.0, 0.76], [-0.09, 0.66]])
    bright.fill(curve(_beside(heart, 1, unit, rng), closed=True), 255)
    sheet = 150 - lungs.weighted(110, 0.02 * width) + bright.weighted(70, 0.015 * width)
    sheet += ribs.weighted(35, 0.004 * width) + _column(size_hw, rng)
    return _finished(sheet, rng)


def frontal_spine(size_hw: tuple[int, int], rng: np.random.Generator) -> GreyImage:
    """A frontal film of the lumbar spine: a column of bodies with pedicles, the pelvis, the psoas muscles."""
    height, width = size_hw
    trunk = Layer(size_hw)
    outline = np.array([[0.1, -0.1], [0.9, -0.1], [0.85, 0.5], [0.95, 1.1], [0.05, 1.1], [0.15, 0.5]])
    trunk.fill(curve(outline * [width, height], closed=True), 255)
    wings = Layer(size_hw)
    for side in (-1, 1):
        knots = np.array([[0.10, 0.72], [0.30, 0.66], [0.42, 0.74], [0.36, 0.95], [0.15, 0.98]])
        wings.fill(curve(_beside(knots, side, np.array([width, height]), rng), closed=True), 200)
    sheet = trunk.weighted(90, 0.03 * width) + wings.weighted(50, 0.01 * width) + _column(size_hw, rng)
    return _finished(sheet, rng)


def limb(size_hw: tuple[int, int], rng: np.random.Generator) -> GreyImage:
    """An arm or a leg: soft tissue, and two long bones with dense cortex that meet at a joint."""
    height, width = size_hw
    flesh, bone, marrow = (Layer(size_hw) for _ in range(3))
    joint = np.array([width / 2, height * rng.uniform(0.35, 0.65)])
    thick = 0.5 * width * rng.uniform(0.12, 0.22)
    for way in (-1, 1):
        end = joint + np.array([rng.normal(0.0, 0.12) * width, way * height])
        flesh.stroke(np.stack([joint, end]), 255, 5.0 * thick)
        start = joint + np.array([0.0, way * 0.7 * thick])
        for _ in range(int(rng.integers(1, 3))):
            shift = np.array([rng.normal(0.0, 0.6), 0.0]) * thick
            bone.stroke(np.stack([start + shift, end + shift]), 255, 1.3 * thick)
            marrow.stroke(np.stack([start + shift, end + shift]), 255, 0.7 * thick)
            bone.fill(_oval(start, np.array([1.5, 0.65]) * thick), 230)
    sheet = flesh.weighted(rng.uniform(40, 110), 0.02 * width) + bone.weighted(110, 0.005 * width)
    return _finished(sheet - marrow.weighted(45, 0.01 * width), rng)


def _column(size_hw: tuple[int, int], rng: np.random.Generator) -> FloatMap:
    """A spine seen from the front, faint or distinct."""
    height, width = size_hw
    layer, tall = Layer(size_hw), height * rng.uniform(0.055, 0.11)
    wide, bend = tall * rng.uniform(1.1, 1.5), rng.normal(0.0, 0.03) * width
    for number in range(int(height / tall) + 1):
        y = (number + 0.5) * tall
        x = width / 2 + bend * np.sin(3 * y / height)
        half = np.array([wide / 2, 0.42 * tall])
        layer.fill(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + [x, y], 150)
        for side in (-1, 1):
            layer.stroke(_oval(np.array([x + side * wide * 0.3, y]), np.array([0.09, 0.14]) * tall), 255, 2, True)
    return layer.weighted(rng.uniform(25, 80), 0.04 * tall)


def _beside(knots: FloatArray, side: int, unit: FloatArray, rng: np.random.Generator) -> FloatArray:
    """(N, 2) px from shares of width and height, x counted from the middle to one side."""
    varied = knots + rng.normal(0.0, 0.01, knots.shape)
    return np.asarray(varied * [side, 1.0] * unit + [unit[0] / 2, 0.0])


def _oval(centre: FloatArray, radii: FloatArray) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.asarray(centre + radii * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def _finished(sheet: FloatMap, rng: np.random.Generator) -> GreyImage:
    """Texture, noise, blur, contrast."""
    height = sheet.shape[0]
    textured = sheet * (1 + 0.06 * rough(rng, sheet.shape, height / rng.uniform(10, 40)))
    grainy = textured + np.float32(rng.uniform(1, 9)) * rng.standard_normal(sheet.shape, dtype=np.float32)
    return _grey(np.float32(rng.uniform(0.7, 1.25)) * blurred(grainy, rng.uniform(0.4, 1.2)))


def _grey(sheet: FloatMap) -> GreyImage:
    return np.asarray(np.clip(sheet + 0.5, 0, 255), dtype=np.uint8)


def _scene(paint: Callable[[tuple[int, int], np.random.Generator], GreyImage]) -> Callable[[Request], Scene]:
    """The condition whose film `paint` draws, between half as wide as high and square."""

    def scene(request: Request) -> Scene:
        size_hw = (request.long_side_px, round(request.long_side_px * request.rng.uniform(0.5, 1.0)))
        return Scene(size_hw, (), Facing.UNKNOWN, None, lambda: paint(size_hw, request.rng))

    return scene


NOT_LUMBAR: dict[str, Callable[[Request], Scene]] = {
    "chest": _scene(chest),
    "frontal-spine": _scene(frontal_spine),
    "limb": _scene(limb),
    "blank": _scene(blank),
    "noise": _scene(noise),
}
"""What is no lateral lumbar film, by name; without a true vertebra."""
