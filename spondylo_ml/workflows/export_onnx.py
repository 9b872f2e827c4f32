"""`export-onnx`: a copy of a model that also holds its network in ONNX, if both networks compute the same.

Under `mlflow run`, logs the report of the check to the run that MLflow opened, even if the check fails.
"""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow

from spondylo_ml.config import ExportOnnxConfig
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.synthetic import PHANTOM_KIND, phantom_films
from spondylo_ml.errors import ConfigError, ParityError
from spondylo_ml.film_bar import film_bar
from spondylo_ml.folders import require_empty_folder
from spondylo_ml.serving.bundle import PARITY, Bundle, copy_with_network
from spondylo_ml.serving.model_source import LoadedModel, find_model
from spondylo_ml.serving.onnx_compare import compare_networks
from spondylo_ml.serving.onnx_network import EXPORTER, OPSET, RUNTIME, exportable, onnx_network, with_onnx
from spondylo_ml.serving.onnx_parity import Parity
from spondylo_ml.serving.onnx_speed import measure_speed
from spondylo_ml.tracking.provenance import log_environment
from spondylo_ml.tracking.store import open_run
from spondylo_ml.tracking.store_check import require_store

log = logging.getLogger(__name__)

REPORT_FORMAT = "spondylo_ml onnx parity 1"
EVERY_GRADE_ALIKE = "even"


@dataclass(frozen=True)
class OnnxExportResult:
    """The result of an ONNX export.

    Attributes:
        model: name of the model.
        report: the check, as in `onnx_parity.json`.
    """

    folder: Path
    model: str
    report: dict[str, Any]


def export_onnx(config: ExportOnnxConfig) -> OnnxExportResult:
    """Write the model with its network in ONNX; write nothing if the two networks disagree.

    Raises:
        ConfigError: packages are missing, the model has no ONNX form, or was trained on the films that check it.
        ParityError: torch and ONNX Runtime disagree; the message says by how much and where.
        SpondyloError: no such model, or a target folder that is not empty.
    """
    folder = config.to.expanduser()
    require_empty_folder(folder)
    source = find_model(config.model, config.digest)
    exportable(source.bundle.model)
    films = _fresh_films(config, source.bundle)
    if "MLFLOW_RUN_ID" not in os.environ:
        return _check_and_write(source, films, config.seed, folder)
    require_store()
    with open_run("", f"onnx of {source.name}", command="export-onnx"):
        mlflow.set_tag("exported_model", source.name)
        log_environment()
        return _check_and_write(source, films, config.seed, folder)


def _check_and_write(source: LoadedModel, films: FilmSet, seed: int, folder: Path) -> OnnxExportResult:
    network = onnx_network(source.bundle)
    onnx_bundle = with_onnx(source.bundle, network)
    with film_bar("comparing films", len(films.films)) as bar:
        parity = compare_networks(source.bundle, onnx_bundle, films.films, bar.update)
    report = _report(source, films, seed, parity)
    if problems := parity.problems():
        _log(report)
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise ParityError(
            f"the exported network does not compute what {source.name} computes; nothing was written to {folder}:\n"
            f"{lines}"
        )
    report["speed"] = measure_speed(source.bundle, onnx_bundle)
    _log(report)
    copy_with_network(source.folder, folder, network, report, source.digest)
    return OnnxExportResult(folder, source.name, report)


def _fresh_films(config: ExportOnnxConfig, bundle: Bundle) -> FilmSet:
    """Synthetic films of all grades that the model was not trained on."""
    data = bundle.config.data
    if data.path is None and data.kind in ("auto", PHANTOM_KIND) and data.phantom_seed == config.seed:
        raise ConfigError(f"seed {config.seed} drew the films that this model was trained on: give another --seed")
    return phantom_films(config.films, config.seed, config.long_side_px, slips=EVERY_GRADE_ALIKE)


def _report(source: LoadedModel, films: FilmSet, seed: int, parity: Parity) -> dict[str, Any]:
    packages = ("torch", RUNTIME, *EXPORTER)
    return {
        "format": REPORT_FORMAT,
        **parity.to_json(),
        "problems": list(parity.problems()),
        "model": source.name,
        "input_hw": list(source.bundle.config.data.network_input_hw),
        "opset": OPSET,
        "films": {
            "kind": "synthetic",
            "count": len(films.films),
            "seed": seed,
            "slips": EVERY_GRADE_ALIKE,
            "digest": digest(films.films, films.slots),
        },
        "packages": {name: version(name) for name in packages},
        "machine": platform.machine(),
    }


def _log(report: dict[str, Any]) -> None:
    """Under `mlflow run`, log the report, whether passed or failed."""
    if mlflow.active_run() is not None:
        mlflow.log_dict(report, PARITY)
        mlflow.set_tag("onnx_parity", "passed" if report["passed"] else "failed")
