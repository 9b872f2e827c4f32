"""A trained model on disk: weights in safetensors, all else in JSON, and the digest of each file. Nothing is unpickled.

Format 2 is format 1 with a manifest. What was written before is still read, with a warning that nothing vouches for it.
A copy of a model may also hold its network in ONNX, with the report of the check that both compute the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from spondylo_ml.clinical.rules import rules_digest, written_rules_digest
from spondylo_ml.config import Config, validate
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.evaluation.evidence import Evidence
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.uncertainty import UncertaintyModel
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model

log = logging.getLogger(__name__)

WEIGHTS, DESCRIPTION, MANIFEST = "weights.safetensors", "bundle.json", "manifest.json"
NETWORK, PARITY = "network.onnx", "onnx_parity.json"
FORMAT, FORMAT_WITHOUT_MANIFEST = 2, 1


@dataclass(frozen=True)
class Bundle:
    """A model with all that is needed to use and to judge it.

    Attributes:
        config: resolved configuration; its data part holds the input size and the slots.
        mean_shape: the trivial predictor of the same training films.
        uncertainty: calibrated on the validation films; None where they were too few, or the model has no spread.
        evidence: how definite corners usually are, on the validation films; None where they were too few.
    """

    model: LandmarkModel
    config: Config
    mean_shape: MeanShape
    uncertainty: UncertaintyModel | None = None
    evidence: Evidence | None = None

    @property
    def slots(self) -> SlotRange:
        """The levels for which the model has outputs."""
        return self.model.slots


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the three files into `folder`, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in bundle.model.state_dict().items()}
    description = {
        "format": FORMAT,
        "slots": {"first": bundle.slots.first, "count": bundle.slots.count},
        "config": bundle.config.model_dump(mode="json"),
        "clinical_rules": rules_digest(bundle.config.clinical),
        "mean_shape": bundle.mean_shape.to_json(),
        "uncertainty": bundle.uncertainty.model_dump(mode="json") if bundle.uncertainty else None,
        "evidence": bundle.evidence.model_dump(mode="json") if bundle.evidence else None,
    }
    _write(folder, {WEIGHTS: save(state), DESCRIPTION: json.dumps(description, indent=1).encode()})


def copy_with_network(source: Path, to: Path, network: bytes, parity: Mapping[str, Any]) -> None:
    """A copy of the model in `source` with its network in ONNX and the report of the check of that.

    Raises:
        DataError: the model is damaged.
    """
    _, files = _checked_files(source)
    report = {**parity, "weights_sha256": _digest(files[WEIGHTS]), "network_sha256": _digest(network)}
    to.mkdir(parents=True, exist_ok=True)
    _write(to, files | {NETWORK: network, PARITY: json.dumps(report, indent=1, allow_nan=False).encode()})


def read_network(folder: Path) -> bytes | None:
    """The model's network in ONNX; None where it has none.

    Raises:
        DataError: it is not what was saved, or was not checked against these weights.
    """
    if not (folder / NETWORK).exists():
        return None
    _, files = _checked_files(folder)
    if not {NETWORK, PARITY} <= files.keys():
        raise DataError(f"{folder}: {MANIFEST} has no digest of {NETWORK} and {PARITY}: nothing vouches for them")
    report = _mapping(folder, PARITY, files[PARITY])
    told = [report.get(name) for name in ("passed", "weights_sha256", "network_sha256")]
    if told != [True, _digest(files[WEIGHTS]), _digest(files[NETWORK])]:
        raise DataError(f"{folder}: {PARITY} is no passed check of {NETWORK} against {WEIGHTS}: export the model again")
    return files[NETWORK]


def load_bundle(folder: Path) -> Bundle:
    """The inverse of `save_bundle`, on the CPU and ready to predict.

    Raises:
        DataError: a file is missing, cut off or changed, of another format, or does not fit the model; names it.
    """
    description, files = _checked_files(folder)
    try:
        state = load(files[WEIGHTS])
    except SafetensorError as error:
        raise DataError(f"{folder}: {WEIGHTS} holds no weights ({error})") from None
    try:
        config = validate(Config, description["config"])
        model = build_model(config, SlotRange(**description["slots"]))
        mean_shape = MeanShape.from_json(description["mean_shape"])
        calibrated = description.get("uncertainty")
        uncertainty = UncertaintyModel.model_validate(calibrated) if calibrated else None
        usual = description.get("evidence")
        evidence = Evidence.model_validate(usual) if usual else None
        same_rules = description["clinical_rules"] == written_rules_digest(description["config"]["clinical"])
    except (ConfigError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder}: {DESCRIPTION} does not describe a model of this version of spondylo_ml "
            f"({type(error).__name__}: {error}); use the version that wrote it"
        ) from None
    if not same_rules:
        raise DataError(f"{folder}: the clinical rules in {DESCRIPTION} are not those that its digest names")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise DataError(f"{folder}: {WEIGHTS} does not fit {config.model.name} ({first[0].strip()})") from None
    return Bundle(model.eval(), config, mean_shape, uncertainty, evidence)


def bundle_digest(folder: Path) -> str:
    """SHA-256 of the manifest, and so of all files: what a registry keeps to know the model again.

    Raises:
        DataError: there is no manifest.
    """
    return hashlib.sha256(_read(folder, MANIFEST)).hexdigest()


def _checked_files(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description, and all files that the model has, each as its digest says."""
    if not folder.is_dir():
        raise DataError(f"{folder} holds no usable model: there is no such folder")
    files = {name: _read(folder, name) for name in (DESCRIPTION, WEIGHTS)}
    if (folder / MANIFEST).exists():
        manifest = _mapping(folder, MANIFEST, _read(folder, MANIFEST))
        _require_format(folder, manifest.get("format"), (FORMAT,))
        listed = manifest.get("files")
        also = (name for name in (NETWORK, PARITY) if isinstance(listed, dict) and name in listed)
        files |= {name: _read(folder, name) for name in also}
        for name, data in files.items():
            _require_same(folder, name, data, manifest)
    description = _mapping(folder, DESCRIPTION, files[DESCRIPTION])
    if not (folder / MANIFEST).exists():
        if description.get("format") == FORMAT:
            raise DataError(f"{folder} holds no usable model: {MANIFEST} is missing, nothing vouches for its files")
        _require_format(folder, description.get("format"), (FORMAT_WITHOUT_MANIFEST, FORMAT))
        log.warning("%s is a model of format 1: it has no digests, so that its files cannot be checked", folder)
    return description, files


def _require_same(folder: Path, name: str, data: bytes, manifest: Mapping[str, Any]) -> None:
    files = manifest.get("files")
    told = files.get(name) if isinstance(files, dict) else None
    if not isinstance(told, dict) or not {"bytes", "sha256"} <= told.keys():
        raise DataError(f"{folder}: {MANIFEST} has no digest of {name}")
    if told["bytes"] != len(data):
        raise DataError(f"{folder}: {name} has {len(data)} bytes where {told['bytes']} were saved: fetch it again")
    if told != _entry(data):
        raise DataError(f"{folder}: {name} is not what was saved (its SHA-256 is another): fetch it again")


def _require_format(folder: Path, found: object, read: tuple[int, ...]) -> None:
    if found not in read:
        raise DataError(
            f"{folder}: model format {found}, this version reads {' and '.join(map(str, read))}; "
            "use the version of spondylo_ml that wrote it"
        )


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DataError(f"{folder} holds no usable model: {name} cannot be read ({type(error).__name__})") from None


def _mapping(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(data)
    except ValueError as error:
        raise DataError(f"{folder} holds no usable model: {name} is no JSON ({error})") from None
    if not isinstance(tree, dict):
        raise DataError(f"{folder} holds no usable model: {name} holds {type(tree).__name__}, names and values needed")
    return tree


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files, and last the manifest, without which a copy that was cut off is no model."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {"format": FORMAT, "files": {name: _entry(data) for name, data in files.items()}}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": _digest(data)}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
