"""How the starter model was made, which `origin.json` states."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import torch
from mlflow.entities import Run

from spondylo_ml.data.films import FilmSet
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.models.cascade_net import CascadeNet
from spondylo_ml.models.zoo import parameter_count
from spondylo_ml.nan import drop_nan
from spondylo_ml.serving.artefact import fetch_bundle
from spondylo_ml.serving.bundle import Bundle

PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless", "albumentations")
"""Packages on which the weights depend."""


@dataclass(frozen=True)
class OtherNetwork:
    """A network whose outputs are averaged with those of the first.

    Attributes:
        films, films_sha256: name and digest of the films that it was trained on.
    """

    network: CascadeNet
    films: str
    films_sha256: str
    code_commit: str

    @classmethod
    def of_run(cls, run_id: str, commit: str) -> OtherNetwork:
        """The network of a finished training run of the current store."""
        network, run = fetch_bundle(run_id).model, mlflow.get_run(run_id)
        assert isinstance(network, CascadeNet)
        return cls(network, run.data.params["films"], run.data.tags["data_digest.train"], commit)


@dataclass(frozen=True)
class Origins:
    """Where the first weights were from; the commits that trained them, trained the close-up, and built the model.

    Attributes:
        others: networks that the model has besides the first.
    """

    weights_from: str
    training: str
    close_up: str
    building: str
    others: tuple[OtherNetwork, ...] = ()


@dataclass(frozen=True)
class Rounding:
    """How far half precision moves the corners of the predicted vertebrae on the validation films, px512.

    Attributes:
        median_px512, mean_px512, largest_px512: None if no vertebra is predicted.
    """

    median_px512: float | None
    mean_px512: float | None
    largest_px512: float | None
    n_corners: int


def origin_of(
    bundle: Bundle,
    run: Run,
    films: FilmSet,
    origins: Origins,
    model_digest: str,
    rounding: Rounding,
    reports: dict[str, EvaluationReport],
    n_harder: int,
) -> dict[str, Any]:
    """How the model was made, as JSON values."""
    digests = {"train": run.data.tags["data_digest.train"]} | {part: reports[part].data_digest for part in reports}
    return {
        "digest": model_digest,
        "made": datetime.now(UTC).date().isoformat(),
        "code_commit": origins.building,
        "model": bundle.config.model.name,
        "parameters": parameter_count(bundle.model),
        "levels": list(bundle.slots.names),
        "weights_from": origins.weights_from,
        "films": {
            "name": films.name,
            **{part: {"films": len(films.part(part)), "sha256": sha256} for part, sha256 in digests.items()},
        },
        "training": {
            "code_commit": origins.training, "close_up_commit": origins.close_up, "threads": torch.get_num_threads(),
            "epochs": bundle.config.training.epochs, "run": run.info.run_id,
        },
        "other_networks": [
            {"films": other.films, "films_sha256": other.films_sha256, "code_commit": other.code_commit}
            for other in origins.others
        ],
        "half_precision": vars(rounding),
        "calibrated_on": {"validation": len(films.part("val")), "harder": n_harder},
        "refusal": bundle.refusal.model_dump(mode="json") if bundle.refusal else None,
        "machine": {"platform": platform.platform(), "processor": _processor(), "python": platform.python_version()},
        "packages": {name: version(name) for name in PACKAGES},
        "metrics": metrics_of(reports),
    }  # fmt: skip


def _processor() -> str:
    """Name of the processor's model; the architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def metrics_of(reports: dict[str, EvaluationReport]) -> dict[str, dict[str, float]]:
    """The numbers of each report that have a value, by part of the films."""
    return {part: drop_nan({name: e.value for name, e in report.numbers.items()}) for part, report in reports.items()}
