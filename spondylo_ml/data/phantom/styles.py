"""Styles of synthetic films: who was radiographed, how the film was exposed, what took it.

A style is a name by which films can be kept out of training, so that a model can be evaluated on films unlike
those that it has seen.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from spondylo_ml.errors import DataError, unknown_name


class Anatomy(StrEnum):
    """The patient's spine."""

    YOUNG = "young"  # dense bone, high discs, smooth corners
    ADULT = "adult"
    AGED = "aged"  # thin bone, lost height, narrow discs, spurs, calcified aorta
    TRANSITIONAL = "transitional"  # four or six lumbar vertebrae


class Exposure(StrEnum):
    """How the film was exposed and windowed."""

    EVEN = "even"  # trunk and pelvis both shown
    STEEP = "steep"  # hard contrast: burnt-out pelvis, black back
    FLAT = "flat"  # little contrast, noise
    LOCAL = "local"  # equalised locally, as consoles do


class Device(StrEnum):
    """What took the film and what became of it."""

    DETECTOR = "detector"  # sharp, little noise
    PLATE = "plate"  # storage phosphor: softer, noisier
    PRINT = "print"  # a film scanned or photographed: fog, curve, border
    EXPORT = "export"  # resized to a square, whatever its shape was


_ANATOMY_SHARES = {Anatomy.YOUNG: 0.28, Anatomy.ADULT: 0.42, Anatomy.AGED: 0.22, Anatomy.TRANSITIONAL: 0.08}
_EXPOSURE_SHARES = {Exposure.EVEN: 0.35, Exposure.STEEP: 0.30, Exposure.FLAT: 0.20, Exposure.LOCAL: 0.15}
_DEVICE_SHARES = {Device.DETECTOR: 0.25, Device.PLATE: 0.20, Device.PRINT: 0.15, Device.EXPORT: 0.40}

STYLE_NAMES: tuple[str, ...] = tuple(str(style) for family in (Anatomy, Exposure, Device) for style in family)
"""All names, by which styles are held out."""

Name = TypeVar("Name", Anatomy, Exposure, Device)


@dataclass(frozen=True)
class Style:
    """One film's style."""

    anatomy: Anatomy
    exposure: Exposure
    device: Device

    @property
    def names(self) -> tuple[str, str, str]:
        """The three names."""
        return str(self.anatomy), str(self.exposure), str(self.device)


def random_style(rng: np.random.Generator, without: Collection[str] = ()) -> Style:
    """A style none of whose names is in `without`.

    Raises:
        DataError: an unknown name, or a family of which nothing is left.
    """
    for name in without:
        if name not in STYLE_NAMES:
            raise DataError(unknown_name("style of synthetic films", name, STYLE_NAMES))
    return Style(
        _choose(rng, _ANATOMY_SHARES, without),
        _choose(rng, _EXPOSURE_SHARES, without),
        _choose(rng, _DEVICE_SHARES, without),
    )


def _choose(rng: np.random.Generator, shares: dict[Name, float], without: Collection[str]) -> Name:
    left = {name: share for name, share in shares.items() if name not in without}
    if not left:
        raise DataError(f"no style is left of {', '.join(shares)}: hold out fewer")
    cumulative = np.cumsum(list(left.values())) / sum(left.values())
    return list(left)[int(np.searchsorted(cumulative, rng.random(), side="right"))]
