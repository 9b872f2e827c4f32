"""The options of the commands that list and clean the store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spondylo_ml.config.network import ModelNames
from spondylo_ml.config.section import CommaList, Section

RANKED_BY = "val_best/mre_px512"
"""The metric by which training runs are ranked unless another one is asked for."""


class ListConfig(Section):
    """What to list, in which order, and how much of it."""

    what: Literal["runs", "models", "studies"] = Field(
        "runs", description="runs, versions of registered models, or studies and benchmarks"
    )
    count: int = Field(20, ge=1, le=100_000, description="longest list")
    by: str | None = Field(
        None, min_length=1, description=f"runs: best first by this metric, such as {RANKED_BY}; unset: newest first"
    )
    models: ModelNames = Field((), description="runs: only those of these models, such as unet")
    command: str | None = Field(None, min_length=1, description="runs: only those of this command, such as train")
    experiment: str | None = Field(None, description="runs and studies: only those of this MLflow experiment")
    parts: bool = Field(
        False, description="runs: also the trials, folds and entries of studies, cross-validations and benchmarks"
    )


class CleanConfig(Section):
    """What to delete: old runs, their files and checkpoints that no rule keeps."""

    what: CommaList[Literal["checkpoints", "runs", "artefacts"]] = Field(
        ("checkpoints", "runs", "artefacts"),
        min_length=1,
        description="checkpoints (needed only to resume a training run), runs (MLflow can restore their metrics), "
        "artefacts (files and models of the runs that this command deletes, now or before)",
    )
    older_than_days: float = Field(30, ge=0, description="younger runs and their checkpoints are kept")
    keep_newest: int = Field(10, ge=1, description="this many of the newest runs of each command are kept")
    keep_best: int = Field(3, ge=0, description="this many of the best runs of each model and dataset are kept")
    metric: str = Field(RANKED_BY, min_length=1, description="metric by which training runs are best")
    experiment: str | None = Field(None, description="only runs of this MLflow experiment; unset: of all")
    delete: bool = Field(
        False,
        description="delete what is listed; unset: only list it (runs whose process was killed are marked KILLED in "
        "any case)",
    )
