"""The options of commands; those of larger commands have files of their own in this package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from spondylo_ml.config.experiments import EXPERIMENT, TOOLS_EXPERIMENT
from spondylo_ml.config.films import (
    DataConfig,
    PhantomAddition,
    PhantomSlips,
    PhantomStyle,
    PhantomView,
    require_no_lateral_values,
)
from spondylo_ml.config.network import ModelNames
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.references import RunReference
from spondylo_ml.config.section import CommaList, Fraction, Section

Layout = Literal["mendeley", "yolo", "buu", "coco", "label-studio", "cvat", "labelme", "slicer"]
DraftFormat = Literal["label-studio", "cvat", "labelme", "slicer", "coco"]
Backend = Literal["torch", "onnx"]


def _sha256(value: str) -> str:
    if re.fullmatch("[0-9a-f]{64}", value) is None:
        raise ValueError("a SHA-256 has 64 digits from 0 to f: give that of the model's manifest.json")
    return value


Digest = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True), AfterValidator(_sha256)]
RUN_HELP = "its id or first digits, its name, or latest"
MODEL_HELP = (
    "starter (the model of the package), alias or version of the registered model, models:/<name>@<alias>, a run (its "
    "id or first digits, its name, or latest), or a local folder"
)
DIGEST_HELP = "SHA-256 of the model's manifest.json; no other model is used"


class TrainOptions(Section):
    """Options of `train` beside the configuration of the training run."""

    recipe: Path | None = Field(None, description="YAML file laid over the model's own recipe")
    resume: Annotated[str | None, RunReference("resumable", or_checkpoint=True)] = Field(
        None, description=f"run ({RUN_HELP}) or path of a last.ckpt to resume"
    )
    print_config: bool = Field(False, description="print the whole configuration before the training run")

    @property
    def recipe_path(self) -> Path | None:
        """The recipe with `~` replaced by the user's home."""
        return expanded(self.recipe) if self.recipe is not None else None


class EvaluateConfig(Section):
    """What to evaluate, and on which films."""

    run_id: Annotated[str, RunReference("trained")] = Field(
        description=f"run whose best model is evaluated: {RUN_HELP}"
    )
    data: DataConfig = Field(
        default_factory=DataConfig, description="films; values that are not set are those of the training run"
    )
    split: Literal["train", "val", "test", "all"] = Field("val", description="part of the films")
    overlays: int = Field(3, ge=0, le=50, description="number of best, of median and of worst films to draw")
    resamples: int = Field(1000, ge=100, le=100000, description="bootstrap resamples of the patients for the intervals")
    seed: int = Field(0, ge=0, description="seed of the resampling")
    experiment: str | None = Field(
        None, description="MLflow experiment; unset: MLFLOW_EXPERIMENT_NAME, or that of the evaluated run"
    )


class DiagnoseConfig(Section):
    """Which run to diagnose."""

    run_id: Annotated[str, RunReference("trained")] = Field(
        description=f"run to examine, with its configuration, films and best model: {RUN_HELP}"
    )
    data: DataConfig = Field(
        default_factory=DataConfig, description="films; values that are not set are those of the training run"
    )
    films: int = Field(8, ge=1, le=1000, description="validation films on which to look for dead channels")
    resamples: int = Field(1000, ge=100, le=100000, description="bootstrap resamples of the patients for the intervals")
    seed: int = Field(0, ge=0, description="seed of the resampling")
    experiment: str | None = Field(None, description="MLflow experiment; unset: MLFLOW_EXPERIMENT_NAME, or the run's")


class CompareConfig(Section):
    """Which runs to compare, and on which films."""

    run_ids: Annotated[CommaList[str], RunReference("trained")] = Field(
        (), description=f"runs, such as a,b,c, each {RUN_HELP}; the others are compared with the first"
    )
    top: int | None = Field(
        None, ge=1, description="instead of run_ids: this many of the best runs by metric, best first"
    )
    metric: str = Field("val_best/mre_px512", min_length=1, description="metric by which top chooses")
    models: ModelNames = Field((), description="top: only runs of these models, such as unet")
    per_model: bool = Field(False, description="top: this many of each model")
    experiment: str | None = Field(
        None, description="top: only runs of this experiment; the comparison is logged there too"
    )
    data: DataConfig = Field(
        default_factory=DataConfig, description="films; unset: those of the runs, which must be the same"
    )
    split: Literal["train", "val", "test", "all"] = Field("val", description="part of the films")
    overlays: int = Field(3, ge=0, le=50, description="films to draw for each run: most improved, and most worsened")
    resamples: int = Field(2000, ge=100, le=100000, description="bootstrap resamples of the patients for the intervals")
    seed: int = Field(0, ge=0, description="seed of the resampling")

    @model_validator(mode="after")
    def _two_runs_or_a_choice(self) -> CompareConfig:
        if (len(self.run_ids) > 0) == (self.top is not None):
            raise ValueError("give run_ids (two or more, such as a,b) or top: one of them, not both")
        if self.run_ids and len(set(self.run_ids)) < 2:
            raise ValueError(f"two or more different run_ids are needed; given {', '.join(self.run_ids)}")
        if self.top == 1 and not self.per_model:
            raise ValueError("top must be 2 or more to compare, or give per_model")
        return self


class AuditConfig(Section):
    """Which films to audit, and how many pictures to draw."""

    data: DataConfig = DataConfig()
    pictures: int = Field(200, ge=0, le=2000, description="findings drawn in the report, most severe first")
    sample_films: int = Field(24, ge=0, le=200, description="films in the report's sample")
    mapping_to: Path | None = Field(
        None, description="new file for a proposed mapping.yaml, if names of labels are not understood"
    )
    experiment: str | None = Field(
        None, min_length=1, description=f"MLflow experiment; unset: MLFLOW_EXPERIMENT_NAME, or {TOOLS_EXPERIMENT}"
    )


class ExportConfig(Section):
    """Which films to write, in which layout, and to which folder."""

    data: DataConfig = Field(default_factory=DataConfig, description="films to write")
    format: Layout = Field(description="layout to write")
    to: Path = Field(description="new or empty folder for the dataset")


class DrawConfig(Section):
    """Which synthetic films to draw."""

    count: int = Field(200, ge=1, le=1_000_000, description="number of synthetic films")
    seed: int = Field(0, ge=0, description="seed of the films")
    long_side_px: int = Field(640, ge=64, le=2048, description="longer side of a film, px")
    view: PhantomView = Field("lateral", description="lateral (lumbar spine), or frontal (T1 to L5 with scoliosis)")
    without: tuple[PhantomStyle, ...] = Field((), description="styles to exclude, such as print,aged")
    slips: PhantomSlips = Field(
        "clinic", description="slips: as in a clinic, or even (all levels, directions and grades equally often)"
    )
    additions: tuple[PhantomAddition, ...] = Field(
        (), description="parts drawn in a later, more realistic way, such as sacrum; none: the first generator's films"
    )

    @model_validator(mode="after")
    def _lateral_values_for_lateral_films(self) -> DrawConfig:
        require_no_lateral_values(self, self.view)
        return self


class PhantomConfig(DrawConfig):
    """Which synthetic films to draw, in which layout to write them, and to which folder."""

    format: Layout = Field("mendeley", description="layout to write")
    to: Path = Field(description="new or empty folder for the dataset")
    val_fraction: Fraction = Field(0.15, description="fraction of films for validation, if the layout has parts")


class ExportOnnxConfig(Section):
    """Which model to export with an ONNX network, to which folder, and the films of the check."""

    model: str = Field(
        "champion",
        min_length=1,
        description=MODEL_HELP,
    )
    digest: Digest | None = Field(None, description=DIGEST_HELP)
    to: Path = Field(description="new or empty folder for the model with its ONNX network")
    films: int = Field(200, ge=1, le=10_000, description="number of synthetic films on which both networks must agree")
    seed: int = Field(730_001, ge=0, description="seed of these films; must differ from that of the training films")
    long_side_px: int = Field(640, ge=64, le=2048, description="longer side of these films, px")


class ConvertModelConfig(Section):
    """Which model of an older format to convert, and where to write it."""

    model: str = Field(
        min_length=1, description="model to convert: a local folder, or a run, alias or version as in predict"
    )
    to: Path = Field(description="new or empty folder for the model in the current format")


class UiConfig(Section):
    """Where the MLflow UI listens, and what it opens."""

    port: int = Field(5000, ge=1, le=65535, description="port of the server")
    host: str = Field("127.0.0.1", min_length=1, description="address on which it listens; 0.0.0.0: for other machines")
    experiment: str | None = Field(
        None, min_length=1, description=f"experiment to open; unset: MLFLOW_EXPERIMENT_NAME, or {EXPERIMENT}"
    )
    browser: bool = Field(True, description="open the page in a browser, where there is a screen")
