"""The options of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from spondylo_ml.config.promotion import FEWEST_SEEDS
from spondylo_ml.config.section import CommaList, Section
from spondylo_ml.evaluation.catalogue import lower_is_better

Goal = Literal[
    "mre_px512",
    "median_px512",
    "instance_mre_px512",
    "sdr_6px",
    "sdr_12px",
    "sdr_24px",
    "slip_error_percent",
    "latency_ms",
]
DEFAULT_TRIALS = 20
DEFAULT_STORAGE = "sqlite:///studies.db"
DEFAULT_PORT = 13000
"""Where a proxy of studies listens; Optuna's default too."""

STUDIES = Path("studies")
"""Folder of the best recipes in the current directory, with one sub-folder per study."""


class StudyOptions(Section):
    """A study: number of trials, search space, sampler, pruner and storage."""

    trials: int | None = Field(
        None, ge=1, le=100_000, description="total number of trials; unset: 20, or the whole grid"
    )
    study: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.-]+$", description="name of the study; the same name continues it"
    )
    space: str = Field(
        "space", min_length=1, description="space file, or the name of a space of the model or of tuning/spaces"
    )
    storage: str = Field(
        DEFAULT_STORAGE,
        description="database of studies, such as postgresql+psycopg://user@host/studies, or its proxy, grpc://host:port",
    )
    sampler: Literal["tpe", "random", "grid", "nsga2", "gp"] = Field(
        "tpe",
        description="how points are chosen: grid tries every combination once, nsga2 is for two objectives, gp is a "
        "Gaussian process, for few and costly trials",
    )
    sampler_seed: int = Field(0, ge=0, lt=2**31, description="seed of the points; the same for all workers")
    pruner: Literal["none", "median", "hyperband", "wilcoxon"] = Field(
        "none", description="how unpromising trials are stopped early; wilcoxon compares folds"
    )
    pruner_startup_trials: int = Field(4, ge=0, description="median: trials to complete before any is pruned")
    pruner_warmup: int = Field(
        2, ge=0, description="median, wilcoxon: first epochs (or folds) in which no trial is pruned"
    )
    objectives: CommaList[Goal] = Field(
        ("mre_px512",), min_length=1, max_length=2, description="one or two metrics of the validation part, such as a,b"
    )
    folds: int = Field(1, ge=1, le=50, description="folds by patient over the training and validation films; 1: none")
    retrain_seeds: int = Field(
        0,
        ge=0,
        le=100,
        description="retrain the best configuration with this many seeds, at least "
        f"{FEWEST_SEEDS}, and log the noise floor "
        "that promote reads; 0: none",
    )
    heartbeat_s: int = Field(
        20, ge=1, le=3600, description="a worker silent for three times this long is lost, seconds"
    )

    @model_validator(mode="after")
    def _parts_go_together(self) -> StudyOptions:
        two = len(self.objectives) == 2
        if two and self.objectives[0] == self.objectives[1]:
            raise ValueError("two objectives must differ")
        if two and self.pruner != "none":
            raise ValueError("a study of two objectives cannot prune (nor can nsga2): set pruner to none")
        if two and self.sampler == "tpe":
            raise ValueError("two objectives need sampler nsga2 (or gp, random, grid)")
        if self.sampler == "nsga2" and not two:
            raise ValueError("sampler nsga2 is for two objectives, such as mre_px512,latency_ms")
        if 0 < self.retrain_seeds < FEWEST_SEEDS:
            raise ValueError(f"retrain_seeds: one seed has no spread; give {FEWEST_SEEDS} or more, or 0")
        if self.pruner == "wilcoxon" and self.folds < 2:
            raise ValueError("pruner wilcoxon compares folds: set folds to 2 or more")
        if self.objectives[0] == "latency_ms" and self.pruner != "none":
            raise ValueError("latency_ms is known only at the end: name the accuracy first to prune by it")
        return self

    @property
    def directions(self) -> tuple[Literal["minimize", "maximize"], ...]:
        """Optuna's name of each objective's direction."""
        return tuple("minimize" if lower_is_better(name) else "maximize" for name in self.objectives)


class TuneOptions(StudyOptions):
    """Options of `python -m tuning` besides the configuration of the trials."""

    recipe: Path | None = Field(None, description="YAML file merged over the model's recipe")

    @property
    def of_study(self) -> StudyOptions:
        """The options that are stored with the study."""
        return StudyOptions(**self.model_dump(exclude={"recipe"}))


class ProxyOptions(Section):
    """The proxy in front of a database of studies."""

    storage: str = Field(
        DEFAULT_STORAGE, description="database of studies, such as postgresql+psycopg://user@host/studies"
    )
    host: str = Field(
        "localhost",
        min_length=1,
        description="address to listen on; 0.0.0.0 for workers on other machines, in a network that no stranger "
        "reaches: the proxy asks nobody for a password",
    )
    port: int = Field(DEFAULT_PORT, ge=1, le=65535, description="port to listen on")


class LaunchOptions(Section):
    """Workers of a study, started together."""

    workers: int = Field(1, ge=1, le=1000, description="number of workers")
    on: Literal["slurm", "local"] = Field("slurm", description="where they run: Slurm, or processes of this machine")
    hours: float = Field(8.0, gt=0, le=1000, description="time limit of a worker, hours; it returns its trial before")
    cpus: int = Field(8, ge=1, le=1024, description="processor cores of a worker")
    gpus: int = Field(0, ge=0, le=1, description="GPUs of a worker; a trial uses one")
    memory_gb: float | None = Field(None, gt=0, description="main memory of a worker, GB; unset: the cluster's default")
    partition: str | None = Field(None, min_length=1, description="Slurm's partition; unset: its default")
    logs: Path = Field(Path("worker_logs"), description="folder of the workers' output, on a disk that they share")
