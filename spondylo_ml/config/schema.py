"""The one configuration of a run: frozen, validated, and the only source of what is logged.

Every field's description becomes the help text of its command line flag; its allowed range is appended from the
field's own constraints, so that the help cannot disagree with the check.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Fraction = Annotated[float, Field(ge=0, le=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
DROPOUT_LEVELS = 5

PhantomStyle = Literal[
    "young", "adult", "aged", "transitional", "even", "steep", "flat", "local", "detector", "plate", "print", "export"
]
"""Styles of synthetic films: of the anatomy, of the exposure, of the device."""

MODEL_NAMES = ("unet",)
PRESETS = ("smoke", "quick", "full")


class Section(BaseModel):
    """Base of the configuration's parts: frozen, no unknown names, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Append each field's allowed range to its help text."""
        for info in cls.model_fields.values():
            limits = [text for limit in info.metadata if (text := _limit_text(limit))]
            if limits and info.description and "[" not in info.description:
                info.description = f"{info.description} [{', '.join(limits)}]"


def _limit_text(limit: object) -> str:
    match limit:
        case annotated_types.Ge(ge=value):
            return f">= {value}"
        case annotated_types.Gt(gt=value):
            return f"> {value}"
        case annotated_types.Le(le=value):
            return f"<= {value}"
        case annotated_types.Lt(lt=value):
            return f"< {value}"
    return ""


class DataConfig(Section):
    """Films: where they are, how they are split, and what size the network sees."""

    path: Path | None = Field(None, description="folder of a dataset; synthetic films where absent")
    kind: Literal["auto", "phantom", "mendeley", "spineweb16"] = Field(
        "auto", description="layout of the dataset; auto recognises it"
    )
    on_bad_file: Literal["error", "skip"] = Field(
        "error", description="bad files: stop before training, or skip, list and count them"
    )
    max_films: int | None = Field(None, ge=3, description="use only so many films, evenly spaced over the dataset")
    phantom_films: int = Field(1200, ge=3, description="number of synthetic films, all parts together")
    phantom_seed: int = Field(0, ge=0, description="seed of the synthetic films")
    phantom_long_side_px: int = Field(384, ge=64, le=2048, description="longer side of a synthetic film, px")
    phantom_without: tuple[PhantomStyle, ...] = Field(
        (), description="styles held out of the synthetic films, such as print,aged"
    )
    val_fraction: Fraction = Field(0.15, description="share of patients for validation, where no split is given")
    test_fraction: Fraction = Field(0.10, description="share of patients for test, where no split is given")
    split_seed: int = Field(0, ge=0, description="seed of the split by patient")
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
    def _fractions_leave_films(self) -> DataConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must be below 1, or nothing is left to train on")
        return self


class ModelConfig(Section):
    """The network."""

    name: Literal["unet"] = Field("unet", description="which network")
    coordinate_channels: bool = Field(
        True, description="feed grey, row and column instead of grey three times, so that the place on the film counts"
    )
    encoder_dropout: tuple[Dropout, ...] = Field(
        (0.0,) * DROPOUT_LEVELS, description="dropout after each of the 5 poolings, top first"
    )
    decoder_dropout: tuple[Dropout, ...] = Field(
        (0.0,) * DROPOUT_LEVELS, description="dropout in each of the 5 decoder levels, deepest first"
    )

    @field_validator("encoder_dropout", "decoder_dropout")
    @classmethod
    def _one_per_level(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) != DROPOUT_LEVELS:
            raise ValueError(f"{DROPOUT_LEVELS} values are needed, one per level; given {len(value)}")
        return value


class HeatmapConfig(Section):
    """Targets and their decoding, in cells of the heatmap grid."""

    sigma_cells: float = Field(1.5, ge=0.5, le=8, description="standard deviation of the Gaussian target, cells")
    decoder: Literal["dark", "argmax", "soft_argmax"] = Field("dark", description="how a heatmap becomes a point")
    levels: Literal["chain", "slot"] = Field(
        "chain", description="chain: levels decided for the whole spine at once; slot: each map's highest peak"
    )
    flip_average: bool = Field(
        True, description="predict from the mean of the film's maps and its mirror image's; doubles the time"
    )
    blur_kernel: int = Field(11, ge=0, le=31, description="size of DARK's smoothing kernel in cells, odd; 0 for none")

    @field_validator("blur_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value and value % 2 == 0:
            raise ValueError("the kernel has a centre cell: an odd number, or 0 for no smoothing")
        return value


class LossConfig(Section):
    """Parts of the loss and their weights."""

    heatmap: Literal["cross_entropy", "weighted_mse"] = Field(
        "cross_entropy", description="loss between predicted and target heatmaps"
    )
    heatmap_weight: float = Field(1.0, gt=0, le=1000, description="weight of the heatmap loss")
    keypoint_weight: float = Field(
        10.0, ge=0, le=10000, description="weighted_mse: extra weight of a cell on the target's peak"
    )
    presence_weight: float = Field(0.1, ge=0, le=1000, description="weight of the presence head's cross entropy")


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


class TrainingConfig(Section):
    """Optimisation."""

    epochs: int | None = Field(None, ge=1, le=10000, description="epochs; absent: from film_passes")
    film_passes: int | None = Field(
        None, ge=1, description="training films to show in all, repeats counted; gives the epochs where they are absent"
    )
    batch_size: int = Field(8, ge=1, le=1024, description="films per step")
    optimizer: Literal["adam", "adamw"] = Field("adamw", description="optimiser")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="highest learning rate")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="weight decay")
    scheduler: Literal["constant", "cosine", "plateau"] = Field("cosine", description="course of the learning rate")
    warmup_fraction: Fraction = Field(0.03, description="cosine: share of the steps spent warming up, never from 0")
    min_learning_rate: float = Field(1e-6, ge=0, le=1, description="cosine and plateau: lowest learning rate")
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="plateau: factor of each decrease")
    plateau_patience: int = Field(15, ge=0, description="plateau: epochs without gain before a decrease")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient; 0 for no clipping")
    early_stop_patience: int = Field(
        0, ge=0, description="stop after so many epochs without gain of val/mre_px512; 0 for never"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where to compute")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the device gains by it")
    workers: int = Field(1, ge=0, le=64, description="processes that prepare films; 0 for none")
    train_metric_films: int = Field(
        32, ge=1, description="fixed films of the training part on which train/ metrics are measured each epoch"
    )


class ClinicalConfig(Section):
    """Rules by which corners become measurements and grades; they belong to a model like its weights."""

    version: Literal[1] = Field(1, description="version of what these rules mean")
    slip_method: Literal["endplate", "posterior_wall"] = Field(
        "endplate", description="slip along the lower superior endplate, or between parallels to the posterior wall"
    )
    grade_limits_percent: tuple[float, float, float, float] = Field(
        (25.0, 50.0, 75.0, 100.0), description="upper limits of Meyerding grades I to IV, inclusive, percent"
    )
    grade0_rule: Literal["mm_if_spacing", "percent"] = Field(
        "mm_if_spacing", description="limit of grade 0: grade0_mm where the spacing is known, or always grade0_percent"
    )
    grade0_percent: float = Field(5.0, ge=0, le=25, description="a slip below so many percent is no listhesis")
    grade0_mm: float = Field(3.0, ge=0, le=10, description="a slip below so many mm is no listhesis")
    lordosis: Literal["L1-S1", "L1-L5"] = Field(
        "L1-S1", description="L1's superior endplate to S1's superior, or to L5's inferior one"
    )
    degenerate_fraction: float = Field(
        0.2, ge=0.01, lt=1, description="an endplate shorter than this share of the longest edge beside it is none"
    )
    least_facing_confidence: float = Field(
        0.9, ge=0.5, lt=1, description="an inferred facing below this is not used: what needs it is withheld"
    )
    least_sacrum_confidence: float = Field(
        0.9, ge=0.5, lt=1, description="a sacrum assumed below this gives no level names"
    )

    @field_validator("grade_limits_percent")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(a < b for a, b in zip((0.0, *value[:-1]), value, strict=True)):
            raise ValueError("the limits must rise, the first above 0")
        return value

    @model_validator(mode="after")
    def _grade_0_below_grade_1(self) -> ClinicalConfig:
        if self.grade0_percent >= self.grade_limits_percent[0]:
            raise ValueError("grade0_percent must lie below the first of grade_limits_percent, or grade I is empty")
        return self


class UncertaintyConfig(Section):
    """How sure a model is of its corners, slips and grades; calibrated on the validation part."""

    source: Literal["heatmap", "flip", "none"] = Field(
        "heatmap",
        description="a corner's spread: from its heatmap, from the film against its mirror image, or none",
    )
    window_sigmas: float = Field(
        5.0, ge=1, le=20, description="heat further from a corner than so many standard deviations is not its spread"
    )
    coverage: float = Field(0.9, ge=0.5, le=0.99, description="share of true slips that the intervals are made for")
    condition: Literal["level_and_grade", "level"] = Field(
        "level_and_grade",
        description="coverage holds at each level and true grade, or only at each level: narrower, fewer levels are "
        "referred, but slipped ones are covered less often than stated",
    )
    samples: int = Field(1000, ge=100, le=100000, description="Monte Carlo samples of a film's corners")
    least_levels: int = Field(
        30, ge=10, description="levels needed to calibrate a level or grade by itself, and to calibrate slips at all"
    )


class TrackingConfig(Section):
    """What a run leaves in MLflow."""

    experiment: str = Field("spondylo-landmarks", min_length=1, description="MLflow experiment")
    run_name: str | None = Field(None, description="name of the run; absent: model and data")
    panel_films: int = Field(6, ge=0, le=64, description="validation films in the panel of overlays")
    panel_every_epochs: int = Field(5, ge=1, description="epochs between two panels; the last epoch has one too")
    system_metrics: bool = Field(True, description="log processor and memory use")


class Config(Section):
    """Everything that decides a training run."""

    preset: Literal["smoke", "quick", "full"] = Field(
        "quick", description="recipe variant: smoke (under a minute), quick (minutes, small images), full (the recipe)"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of weights, order and augmentation")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    heatmap: HeatmapConfig = HeatmapConfig()
    loss: LossConfig = LossConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    training: TrainingConfig = TrainingConfig()
    clinical: ClinicalConfig = ClinicalConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="after")
    def _length_is_given(self) -> Config:
        if self.training.epochs is None and self.training.film_passes is None:
            raise ValueError("give training.epochs or training.film_passes: neither is set")
        return self

    @model_validator(mode="after")
    def _flip_spread_has_two_orientations(self) -> Config:
        if self.uncertainty.source == "flip" and not self.heatmap.flip_average:
            raise ValueError("uncertainty.source flip needs heatmap.flip_average: there is no mirror image otherwise")
        return self


class EvaluateConfig(Section):
    """What to judge, and on which films."""

    run_id: str = Field(description="MLflow run whose best model is judged")
    data: DataConfig = Field(
        default_factory=DataConfig, description="films; what is not given is as in the run's training"
    )
    split: Literal["train", "val", "test", "all"] = Field("val", description="part of the films")
    overlays: int = Field(3, ge=0, le=50, description="how many best, median and worst films are drawn")
    resamples: int = Field(1000, ge=100, le=100000, description="draws of the patients for the intervals")
    seed: int = Field(0, ge=0, description="seed of these draws")
    experiment: str | None = Field(None, description="MLflow experiment; absent: the judged run's")
