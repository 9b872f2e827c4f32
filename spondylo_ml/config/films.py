"""Films: where they are, how they are split and changed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from spondylo_ml.config.section import Fraction, Section
from spondylo_ml.errors import ConfigError

PhantomStyle = Literal[
    "young", "adult", "aged", "transitional", "even", "steep", "flat", "local", "detector", "plate", "print", "export"
]
"""Styles of synthetic films: of the anatomy, of the exposure, of the device."""

PhantomSlips = Literal["clinic", "even"]
"""How often synthetic spines slip, and how far."""

PHANTOM_FILMS, PHANTOM_LONG_SIDE_PX = 1800, 256
"""The one synthetic dataset that all presets of all models share, so that their models can be compared."""


class DataConfig(Section):
    """Films: where they are, how they are split, and what size the network sees."""

    path: Path | None = Field(None, description="folder of a dataset; synthetic films where absent")
    kind: Literal["auto", "phantom", "mendeley", "spineweb16", "buu", "coco", "yolo", "folder"] = Field(
        "auto", description="layout of the dataset; auto recognises it"
    )
    on_bad_file: Literal["error", "skip"] = Field(
        "error", description="bad files: stop before training, or skip, list and count them"
    )
    on_audit_error: Literal["error", "set_aside", "continue"] = Field(
        "error",
        description="errors of the audit: stop before training; or leave out single impossible vertebrae, and films "
        "whose levels are not known, and stop on all others; or train all the same, without impossible vertebrae",
    )
    max_films: int | None = Field(
        None,
        ge=3,
        description="use only so many films, evenly spaced over the dataset; of synthetic ones so many for training "
        "and validation together, the test part staying whole",
    )
    phantom_films: int = Field(PHANTOM_FILMS, ge=3, description="number of synthetic films, all parts together")
    phantom_seed: int = Field(0, ge=0, description="seed of the synthetic films")
    phantom_long_side_px: int = Field(
        PHANTOM_LONG_SIDE_PX, ge=64, le=2048, description="longer side of a synthetic film, px"
    )
    phantom_without: tuple[PhantomStyle, ...] = Field(
        (), description="styles held out of the synthetic films, such as print,aged"
    )
    phantom_slips: PhantomSlips = Field(
        "clinic",
        description="slips of the synthetic films: as in a clinic, where high grades are rare, or one in every "
        "patient: each level from L5/S1 to T12/L1, forward and backward, grades I to V equally often",
    )
    val_fraction: Fraction = Field(0.15, description="share of patients for validation, where no split is given")
    test_fraction: Fraction = Field(0.10, description="share of patients for test, where no split is given")
    split_seed: int = Field(0, ge=0, description="seed of the split by patient, and of its folds")
    folds: int | None = Field(
        None,
        ge=2,
        le=50,
        description="train: cross-validation, the films for training and validation dealt anew by patient into so many "
        "folds, each for validation once; the test part stays what it is",
    )
    fold: int | None = Field(None, ge=1, description="train this one of the folds alone, from 1")
    input_side_px: int = Field(
        512, ge=32, le=2048, description="the network's input has about the area of a square of this side, px"
    )
    input_hw: tuple[int, int] | None = Field(
        None, description="input height,width in px, multiples of 32; absent: from the films' median shape"
    )
    first_slot: int | None = Field(None, ge=0, description="lowest level, 0 is S1, 1 is L5; absent: the dataset's own")
    n_slots: int | None = Field(None, ge=1, le=24, description="levels from first_slot up; absent: the dataset's own")

    @field_validator("input_hw")
    @classmethod
    def _multiples_of_32(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value and any(side < 32 or side > 2048 or side % 32 for side in value):
            raise ValueError("height and width must each be a multiple of 32 between 32 and 2048 px")
        return value

    @model_validator(mode="after")
    def _fold_is_one_of_them(self) -> DataConfig:
        if self.fold is not None and (self.folds is None or self.fold > self.folds):
            raise ValueError(f"fold is {self.fold}, folds {self.folds}: give folds too, and one of 1 to folds as fold")
        return self

    @model_validator(mode="after")
    def _fractions_leave_films(self) -> DataConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must be below 1, or nothing is left to train on")
        return self

    def require_source(self) -> None:
        """A folder for every kind but the films that are drawn here.

        Raises:
            ConfigError: path and kind contradict each other.
        """
        if self.path is None and self.kind not in ("auto", "phantom"):
            raise ConfigError(f"data.kind {self.kind} needs a folder: --data <path>")
        if self.path is not None and self.kind == "phantom":
            raise ConfigError(f"data.kind phantom makes its own films: leave out --data {self.path}")


class AugmentationConfig(Section):
    """Random changes of a training film, on the network's input."""

    enabled: bool = Field(True, description="augment training films")
    flip_probability: Fraction = Field(0.5, description="mirror the film, left and right corners exchanged")
    shift_fraction: float = Field(0.05, ge=0, le=0.5, description="largest shift, share of the input's side")
    scale_fraction: float = Field(
        0.10, ge=0, le=0.5, description="largest change of width and of height, each for itself"
    )
    rotation_deg: float = Field(10.0, ge=0, le=45, description="largest rotation, degrees")
    affine_probability: Fraction = Field(0.8, description="shift, scale and rotate")
    contrast_probability: Fraction = Field(0.5, description="change brightness, contrast and gamma")
    contrast_fraction: float = Field(0.3, ge=0, le=0.9, description="largest change of brightness and contrast")
    noise_probability: Fraction = Field(0.2, description="add Gaussian noise")
    blur_probability: Fraction = Field(0.1, description="blur")
    clahe_probability: Fraction = Field(0.1, description="equalise the local histogram (CLAHE)")
    dropout_probability: Fraction = Field(0.1, description="black out some rectangles")
