"""Configuration of films: location, split, augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from spondylo_ml.config.open_names import OpenNames
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.section import Fraction, Section
from spondylo_ml.errors import ConfigError

PhantomStyle = Literal[
    "young", "adult", "aged", "transitional", "even", "steep", "flat", "local", "detector", "plate", "print", "export"
]
"""Styles of synthetic films, by anatomy, exposure and device."""

PhantomSlips = Literal["clinic", "even"]
"""Distributions of slips on synthetic films."""

PhantomView = Literal["lateral", "frontal"]
"""Views of synthetic films: lateral films of the lumbar spine, or frontal ones of the whole spine."""

PhantomAddition = Literal["sacrum", "surroundings", "cortex"]
"""Parts of a synthetic film that are drawn in a later way than that of the first generator."""

PhantomCondition = Literal[
    "unchanged", "inverted", "mirrored", "rotated-90", "rotated-180", "coned", "burnt-sacrum", "hardware",
    "second-film", "narrow-discs", "bowel-gas", "enhanced", "difficult",
    "whole-film-100", "whole-film-70", "whole-film-50", "whole-film-35", "whole-film-20"
]  # fmt: skip
"""Conditions under which synthetic films are drawn to test a model."""

TrainingCondition = Literal[PhantomCondition, "chest", "frontal-spine", "limb", "blank", "noise"]
"""Conditions of further synthetic training films; the last five are no lateral lumbar films."""

Gamma = Annotated[float, Field(ge=0.1, le=10)]
SMALLEST_RECTANGLE, LARGEST_DOWNSCALE = 0.03, 0.9
RectangleSide = Annotated[float, Field(ge=SMALLEST_RECTANGLE, le=0.5)]
"""Side of a rectangle as a fraction of the input's."""

LATERAL_ONLY = ("slips", "additions", "condition", "training_conditions")
"""What only lateral synthetic films have, in the names of the values that set it."""

LAYOUT_NAMES = OpenNames(
    "layout",
    "auto",
    "phantom",
    "mendeley",
    "spineweb16",
    "buu",
    "coco",
    "yolo",
    "label-studio",
    "cvat",
    "labelme",
    "slicer",
    "folder",
)

PHANTOM_FILMS, PHANTOM_LONG_SIDE_PX = 1800, 256
"""The one synthetic dataset that all presets of all models share, so that their models can be compared."""


def require_no_lateral_values(section: Section, view: str, prefix: str = "") -> None:
    """Raise `ValueError` if frontal films are to have what only lateral ones have.

    Args:
        prefix: what the names of `LATERAL_ONLY` begin with in this section.
    """
    fields = type(section).model_fields
    names = [name for part in LATERAL_ONLY if (name := prefix + part) in fields]
    set_names = [name for name in names if getattr(section, name) != fields[name].default]
    if view == "frontal" and set_names:
        raise ValueError(
            f"{' and '.join(set_names)} change lateral films only, and {prefix}view is frontal: leave them out, or set "
            f"{prefix}view to lateral"
        )


def require_kind_of_each(kinds: Sequence[str], folders: Sequence[str]) -> None:
    """Raise `ValueError` if kinds are given, but not one for each folder."""
    if kinds and len(kinds) != len(folders):
        raise ValueError(f"kinds: {len(kinds)} given for {len(folders)} folders; give one for each")


def dataset_configs(
    folders: Sequence[str], kinds: Sequence[str], on_bad_file: Literal["error", "skip"]
) -> tuple[DataConfig, ...]:
    """Where to read the films of several folders; their layouts are recognised if no kinds are given."""
    return tuple(
        DataConfig(path=expanded(Path(folder)), kind=kind, on_bad_file=on_bad_file)
        for folder, kind in zip(folders, kinds or ("auto",) * len(folders), strict=True)
    )


class DataConfig(Section):
    """Location and split of the films, and the network's input size."""

    path: Path | None = Field(None, description="folder of a dataset; unset: synthetic films")
    kind: Annotated[str, LAYOUT_NAMES] = Field("auto", description="layout of the dataset; auto recognises it")
    on_bad_file: Literal["error", "skip"] = Field(
        "error", description="bad files: stop before training, or skip, list and count them"
    )
    on_audit_error: Literal["error", "set_aside", "continue"] = Field(
        "error",
        description="errors of the audit: stop before training (error); leave out single impossible vertebrae "
        "and films with unknown levels, and stop on all others (set_aside); or train without "
        "impossible vertebrae (continue)",
    )
    max_films: int | None = Field(
        None,
        ge=3,
        description="use only this many films, evenly spaced over the dataset; of synthetic films, this many for "
        "training and validation together, and the whole test part",
    )
    phantom_films: int = Field(PHANTOM_FILMS, ge=3, description="number of synthetic films in all parts")
    phantom_seed: int = Field(0, ge=0, description="seed of the synthetic films")
    phantom_long_side_px: int = Field(
        PHANTOM_LONG_SIDE_PX, ge=64, le=2048, description="longer side of a synthetic film, px"
    )
    phantom_view: PhantomView = Field(
        "lateral",
        description="view of the synthetic films: lateral (lumbar spine), or frontal (T1 to L5 with scoliosis, the "
        "levels of spineweb16)",
    )
    phantom_without: tuple[PhantomStyle, ...] = Field(
        (), description="styles excluded from the synthetic films, such as print,aged"
    )
    phantom_slips: PhantomSlips = Field(
        "clinic",
        description="slips of the synthetic films: as in a clinic, where high grades are rare, or even: one per "
        "patient, at each level from L5/S1 to T12/L1, forward and backward, grades I to V equally "
        "often",
    )
    phantom_additions: tuple[PhantomAddition, ...] = Field(
        (),
        description="parts of the synthetic films drawn in a later, more realistic way: sacrum (S1 a wedge, fused with "
        "S2, pelvis from faint to burnt out), surroundings (deeper belly, skin folds, gas, film edges, scratches), "
        "cortex (brighter endplates and walls); none: the films of the first generator",
    )
    phantom_condition: PhantomCondition | None = Field(
        None,
        description="draw all synthetic films under one condition, to test a model's robustness; unset: under none",
    )
    phantom_training_conditions: tuple[TrainingCondition, ...] = Field(
        (),
        description="further synthetic films under each of these conditions, for training alone; chest, frontal-spine, "
        "limb, blank and noise show no lateral lumbar spine: all levels are absent",
    )
    phantom_films_per_condition: int = Field(100, ge=1, description="number of those films under each condition")
    val_fraction: Fraction = Field(0.15, description="fraction of patients for validation, if the dataset has no split")
    test_fraction: Fraction = Field(0.10, description="fraction of patients for test, if the dataset has no split")
    split_seed: int = Field(0, ge=0, description="seed of the split by patient and of its folds")
    folds: int | None = Field(
        None,
        ge=2,
        le=50,
        description="train: cross-validation with this many folds by patient over the training and validation "
        "films; the test part does not change",
    )
    fold: int | None = Field(None, ge=1, description="train only this fold, counted from 1")
    input_side_px: int = Field(
        512, ge=32, le=2048, description="the network's input has about the area of a square with this side, px"
    )
    input_hw: tuple[int, int] | None = Field(
        None, description="input height,width in px, multiples of 32; unset: from the films' median shape"
    )
    first_slot: int | None = Field(None, ge=0, description="lowest level, 0 is S1, 1 is L5; unset: the dataset's")
    n_slots: int | None = Field(
        None, ge=1, le=24, description="number of levels from first_slot up; unset: the dataset's"
    )

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
    def _lateral_values_for_lateral_films(self) -> DataConfig:
        require_no_lateral_values(self, self.phantom_view, "phantom_")
        return self

    @model_validator(mode="after")
    def _fractions_leave_films(self) -> DataConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must be below 1, or nothing is left to train on")
        return self

    @property
    def network_input_hw(self) -> tuple[int, int]:
        """Height and width of the network's input, px, in a configuration whose films were read.

        Raises:
            ValueError: the size is still to be chosen by the films.
        """
        if self.input_hw is None:
            raise ValueError("data.input_hw is not set: the configuration is not that of a trained model")
        return self.input_hw

    def require_source(self) -> None:
        """Require a folder for every kind except synthetic films.

        Raises:
            ConfigError: path and kind contradict each other.
        """
        if self.path is None and self.kind not in ("auto", "phantom"):
            raise ConfigError(f"data.kind {self.kind} needs a folder: --data <path>")
        if self.path is not None and self.kind == "phantom":
            raise ConfigError(f"data.kind phantom makes its own films: leave out --data {self.path}")


class AugmentationConfig(Section):
    """Random changes of training films, applied to the network's input."""

    enabled: bool = Field(True, description="augment training films")
    flip_probability: Fraction = Field(0.5, description="mirror the film and exchange left and right corners")
    inversion_probability: Fraction = Field(0.0, description="invert the grey levels: bone becomes dark")
    shift_fraction: float = Field(0.05, ge=0, le=0.5, description="largest shift, fraction of the input's side")
    scale_fraction: float = Field(0.10, ge=0, le=0.8, description="largest independent change of width and height")
    zoom_fraction: float = Field(
        0.0, ge=0, le=0.8, description="largest common change of width and height, on top of scale_fraction"
    )
    rotation_deg: float = Field(10.0, ge=0, le=90, description="largest rotation, degrees")
    shear_deg: float = Field(0.0, ge=0, le=30, description="largest shear along x and along y, degrees")
    affine_probability: Fraction = Field(0.8, description="shift, scale, rotate and shear; also zoom")
    contrast_probability: Fraction = Field(0.5, description="change brightness and contrast; also gamma")
    contrast_fraction: float = Field(0.3, ge=0, le=0.9, description="largest change of brightness and contrast")
    gamma_range: tuple[Gamma, Gamma] = Field((0.6, 1.6), description="smallest,largest exponent of gamma")
    tone_curve_probability: Fraction = Field(0.0, description="bend the curve of grey levels")
    tone_curve_spread: float = Field(
        0.1, gt=0, le=0.5, description="standard deviation of the curve's heights at 1/4 and 3/4 of the grey levels"
    )
    noise_probability: Fraction = Field(0.2, description="add Gaussian noise")
    impulse_noise_probability: Fraction = Field(0.0, description="make some pixels black or white")
    impulse_noise_fraction: float = Field(0.02, gt=0, le=0.2, description="largest fraction of such pixels")
    blur_probability: Fraction = Field(0.1, description="blur")
    downscale_probability: Fraction = Field(0.0, description="lose detail: shrink, then enlarge to the size before")
    downscale_smallest: float = Field(
        0.4, ge=0.1, le=LARGEST_DOWNSCALE, description="smallest shrunk size, fraction of the input's"
    )
    clahe_probability: Fraction = Field(0.1, description="equalise the local histogram (CLAHE)")
    dropout_probability: Fraction = Field(0.1, description="hide some rectangles")
    dropout_largest_fraction: RectangleSide = Field(0.12, description="longest side of them, fraction of the input's")
    dropout_fill: Literal["black", "grey"] = Field("black", description="grey: one random grey level per rectangle")
    box_corruption_probability: Fraction = Field(0.0, description="replace some rectangles by noise")
    box_corruption_largest_fraction: RectangleSide = Field(
        0.12, description="longest side of them, fraction of the input's"
    )

    @field_validator("gamma_range")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the smallest exponent must come first")
        return value
