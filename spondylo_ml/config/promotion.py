"""Options of `promote` and `registry`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.films import DataConfig
from spondylo_ml.config.network import ModelNames
from spondylo_ml.config.references import RunReference
from spondylo_ml.config.section import CommaList, Section

REGISTERED_MODEL = "spondylo-landmarks"

FEWEST_SEEDS = 2
"""Fewer training runs that differ only in their seed have no spread, and so no noise floor."""


class MarginsConfig(Section):
    """Margins by which a guarded metric may be worse than the champion's."""

    detection_recall: float = Field(1.0, ge=0, description="largest fall of detection recall, percentage points")
    listhesis_sensitivity: float = Field(
        2.0, ge=0, description="largest fall of sensitivity to listhesis, percentage points"
    )
    worst_source_px512: float = Field(
        1.0, ge=0, description="largest increase of the mean error of the worst source of films, px512"
    )
    latency_percent: float = Field(25.0, ge=0, description="largest increase of the time for one film, percent")
    calibration: float = Field(
        3.0, ge=0, description="largest move of the coverage of true slips away from the stated one, percentage points"
    )


class PromoteConfig(Section):
    """Candidates for the registry, the films to evaluate them on, and the conditions of a promotion."""

    run_ids: Annotated[CommaList[str], RunReference("trained")] = Field(
        (), description="runs that are candidates, such as a,b: ids or their first digits, names, or latest"
    )
    models: ModelNames = Field(
        (), description="instead of run_ids: the best run of each of these models; unset: of each that has one"
    )
    chosen_by: str = Field("val_best/mre_px512", min_length=1, description="metric by which the best run is chosen")
    experiment: str | None = Field(
        None,
        description="choose only runs of this experiment; the promotion is logged there too, otherwise in "
        + TOOLS_EXPERIMENT,
    )
    registered_model: str = Field(REGISTERED_MODEL, pattern=r"^[\w.-]+$", description="name in MLflow's model registry")
    data: DataConfig = Field(
        default_factory=DataConfig, description="films; unset: the champion's, or for the first model those of its run"
    )
    split: Literal["train", "val", "test", "all"] | None = Field(
        None, description="part of the films; unset: the champion's, or test for the first model"
    )
    new_films: bool = Field(
        False,
        description="evaluate the champion again on these films, which differ from those on which it became champion",
    )
    metric: str = Field("grade_accuracy_all", min_length=1, description="clinical metric that must improve")
    first_metric: str = Field(
        "mre_px512", min_length=1, description="metric on which the first model must beat the mean shape"
    )
    noise_floor: float | None = Field(
        None, ge=0, description="difference in metric that another seed alone makes; unset: no model replaces another"
    )
    noise_floor_from: Annotated[str | None, RunReference("noise floor")] = Field(
        None,
        description="instead of noise_floor: run of a study with retrain_seeds, or of a benchmark, that measured it",
    )
    margins: MarginsConfig = MarginsConfig()
    latency_films: int = Field(8, ge=1, le=1000, description="films on which to measure the time for one film")
    overlays: int = Field(2, ge=1, le=50, description="number of best, of median and of worst films on the model card")
    resamples: int = Field(2000, ge=100, le=100000, description="bootstrap resamples of the patients for the intervals")
    seed: int = Field(0, ge=0, description="seed of the resampling")
    rollback: bool = Field(False, description="evaluate nothing and restore the former champion")
    reason: str = Field("", max_length=300, description="rollback: the reason, for the history; do not name a patient")
    break_lock: str | None = Field(None, description="id of a lock left by a promotion that died, to remove first")

    @model_validator(mode="after")
    def _does_one_thing(self) -> PromoteConfig:
        if self.rollback and self.run_ids:
            raise ValueError(
                "rollback and run_ids cannot be combined: rollback restores the former champion without evaluating runs"
            )
        if self.reason and not self.rollback:
            raise ValueError("reason is only used with rollback=true; a promotion's reasons come from its metrics")
        if self.noise_floor is not None and self.noise_floor_from is not None:
            raise ValueError("give noise_floor or noise_floor_from: one of them, not both")
        return self


class RegistryConfig(Section):
    """Which registered model's history to show."""

    registered_model: str = Field(REGISTERED_MODEL, pattern=r"^[\w.-]+$", description="name in MLflow's model registry")
