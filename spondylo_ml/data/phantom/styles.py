"""Styles of synthetic films: anatomy, exposure and device.

Films of a style can be excluded from training, so that a model can be evaluated on kinds of films it has not seen.
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
    AGED = "aged"  # osteoporosis, fractures, narrow discs, osteophytes, calcified aorta
    TRANSITIONAL = "transitional"  # four or six lumbar vertebrae


class Exposure(StrEnum):
    """How the film was exposed and windowed."""

    EVEN = "even"  # trunk and pelvis both visible
    STEEP = "steep"  # high contrast: saturated pelvis, black back
    FLAT = "flat"  # low contrast, noisy
    LOCAL = "local"  # local histogram equalisation, as consoles do


class Device(StrEnum):
    """Device, and later processing of the film."""

    DETECTOR = "detector"  # sharp, low noise
    PLATE = "plate"  # storage phosphor: softer, noisier
    PRINT = "print"  # a scanned or photographed film: fog, curve, border
    EXPORT = "export"  # stretched to a square


_ANATOMY_SHARES = {Anatomy.YOUNG: 0.28, Anatomy.ADULT: 0.42, Anatomy.AGED: 0.22, Anatomy.TRANSITIONAL: 0.08}
_EXPOSURE_SHARES = {Exposure.EVEN: 0.35, Exposure.STEEP: 0.30, Exposure.FLAT: 0.20, Exposure.LOCAL: 0.15}
_DEVICE_SHARES = {Device.DETECTOR: 0.25, Device.PLATE: 0.20, Device.PRINT: 0.15, Device.EXPORT: 0.40}

STYLE_NAMES: tuple[str, ...] = tuple(str(style) for family in (Anatomy, Exposure, Device) for style in family)
"""All names of styles that can be excluded."""

Name = TypeVar("Name", Anatomy, Exposure, Device)


@dataclass(frozen=True)
class Style:
    """Style of one film: one name of each family."""

    anatomy: Anatomy
    exposure: Exposure
    device: Device

    @property
    def names(self) -> tuple[str, str, str]:
        """The three names."""
        return str(self.anatomy), str(self.exposure), str(self.device)


def random_style(rng: np.random.Generator, without: Collection[str] = ()) -> Style:
    """Draw a style without any of the names in `without`.

    Raises:
        DataError: an unknown name, or a family without a name left.
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
    remaining = {name: share for name, share in shares.items() if name not in without}
    if not remaining:
        raise DataError(f"no style is left of {', '.join(shares)}: hold out fewer")
    cumulative = np.cumsum(list(remaining.values())) / sum(remaining.values())
    return list(remaining)[int(np.searchsorted(cumulative, rng.random(), side="right"))]
