"""A trained model on disk: weights in safetensors, the rest in JSON, a manifest of file digests; nothing is pickled.

The digest of the manifest is the digest of the model. Runs and the model registry store it to detect any change.
Format 2 is format 1 with a manifest; `bundle_formats` converts format 1. A copy of a model may also contain its network
in ONNX, with the report of the check that both networks agree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from spondylo_ml.clinical.rules import rules_digest, stored_rules_digest
from spondylo_ml.config import Config, validate
from spondylo_ml.config.films import LAYOUT_NAMES
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.evaluation.heatmap_evidence import Evidence
from spondylo_ml.evaluation.level_confidence import LevelConfidence
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.refusal import Refusal
from spondylo_ml.evaluation.uncertainty import UncertaintyModel
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.half_precision import halved_state
from spondylo_ml.serving.local_model import DESCRIPTION

WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"
NETWORK, PARITY = "network.onnx", "onnx_parity.json"
FORMAT, FORMAT_WITHOUT_MANIFEST = 2, 1
CONVERT = "python -m spondylo_ml convert-model --model <folder> --to <new folder>"


@dataclass(frozen=True)
class Bundle:
    """A model with everything that is needed to use and evaluate it.

    Attributes:
        config: resolved configuration; its data part holds the input size and the slots.
        mean_shape: baseline predictor from the same training films.
        uncertainty: calibrated on the validation films; None if they were too few or the model estimates no spread.
        evidence: usual definiteness of corners on the validation films; None if they were too few.
        level_confidence: calibration of the confidence in levels on the validation films; None if they were too few or
            the model does not weigh other readings.
        refusal: limit below which a film is refused as not being a lateral lumbar film; None if the validation films
            were too few, or nothing is to be refused.
    """

    model: LandmarkModel
    config: Config
    mean_shape: MeanShape
    uncertainty: UncertaintyModel | None = None
    evidence: Evidence | None = None
    level_confidence: LevelConfidence | None = None
    refusal: Refusal | None = None

    @property
    def slots(self) -> SlotRange:
        """The levels for which the model has outputs."""
        return self.model.slots


def save_bundle(bundle: Bundle, folder: Path, half: bool = False) -> None:
    """Write the three files of the model to `folder`, which is created if needed.

    Args:
        half: store the weights in half precision; see `half_precision`, which also rounds the model to them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = halved_state(bundle.model) if half else bundle.model.state_dict()
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    description = {
        "format": FORMAT,
        "slots": {"first": bundle.slots.first, "count": bundle.slots.count},
        "config": bundle.config.model_dump(mode="json"),
        "clinical_rules": rules_digest(bundle.config.clinical),
        "mean_shape": bundle.mean_shape.to_json(),
        "uncertainty": bundle.uncertainty.model_dump(mode="json") if bundle.uncertainty else None,
        "evidence": bundle.evidence.model_dump(mode="json") if bundle.evidence else None,
        "level_confidence": bundle.level_confidence.model_dump(mode="json") if bundle.level_confidence else None,
        "refusal": bundle.refusal.model_dump(mode="json") if bundle.refusal else None,
    }
    _write(folder, {WEIGHTS: save(state), DESCRIPTION: json.dumps(description, indent=1).encode()})


def copy_with_network(
    source: Path, to: Path, network: bytes, parity: Mapping[str, Any], digest: str | None = None
) -> None:
    """Copy the model in `source`, adding its network in ONNX and the report of its check.

    Args:
        digest: digest of the model that was checked.

    Raises:
        DataError: the model is damaged.
    """
    _, files = _checked_files(source, digest)
    report = {**parity, "weights_sha256": _digest(files[WEIGHTS]), "network_sha256": _digest(network)}
    to.mkdir(parents=True, exist_ok=True)
    _write(to, files | {NETWORK: network, PARITY: json.dumps(report, indent=1, allow_nan=False).encode()})


def read_network(folder: Path, digest: str | None = None) -> bytes | None:
    """The model's network in ONNX; None if it has none.

    Args:
        digest: see `load_bundle`.

    Raises:
        DataError: it was changed, or not checked against these weights.
    """
    if not (folder / NETWORK).exists():
        return None
    _, files = _checked_files(folder, digest)
    if not {NETWORK, PARITY} <= files.keys():
        raise DataError(f"{folder}: {MANIFEST} has no digest of {NETWORK} and {PARITY}: they cannot be verified")
    report = _mapping(folder, PARITY, files[PARITY])
    stated = [report.get(name) for name in ("passed", "weights_sha256", "network_sha256")]
    if stated != [True, _digest(files[WEIGHTS]), _digest(files[NETWORK])]:
        raise DataError(
            f"{folder}: {PARITY} is not a passed check of {NETWORK} against {WEIGHTS}: export the model again"
        )
    return files[NETWORK]


def load_bundle(folder: Path, digest: str | None = None) -> Bundle:
    """Load a model saved by `save_bundle`, on the CPU and ready to predict.

    Args:
        digest: the expected `bundle_digest`, from a trusted source. Without it, files that were changed together with
            their manifest are not detected.

    Raises:
        DataError: a file is missing, truncated or changed, of another format, or does not fit the model.
    """
    description, files = _checked_files(folder, digest)
    return bundle_from_description(folder, description, files[WEIGHTS])


def bundle_from_description(folder: Path, description: Mapping[str, Any], weights: bytes) -> Bundle:
    """The model from its description and weights.

    Raises:
        DataError: one of them is invalid.
    """
    try:
        state = load(weights)
    except SafetensorError as error:
        raise DataError(f"{folder}: {WEIGHTS} holds no weights ({error})") from None
    try:
        config = validate(Config, _with_known_layout(description["config"]))
        model = build_model(config, SlotRange(**description["slots"]))
        mean_shape = MeanShape.from_json(description["mean_shape"])
        uncertainty_json = description.get("uncertainty")
        uncertainty = UncertaintyModel.model_validate(uncertainty_json) if uncertainty_json else None
        evidence_json = description.get("evidence")
        evidence = Evidence.model_validate(evidence_json) if evidence_json else None
        confidence_json = description.get("level_confidence")
        level_confidence = LevelConfidence.model_validate(confidence_json) if confidence_json else None
        refusal_json = description.get("refusal")
        refusal = Refusal.model_validate(refusal_json) if refusal_json else None
        same_rules = description["clinical_rules"] == stored_rules_digest(description["config"]["clinical"])
    except (ConfigError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder}: {DESCRIPTION} does not describe a model of this version of spondylo_ml "
            f"({type(error).__name__}: {error}); use the version that wrote it, or register its model or loss first "
            "(spondylo_ml.register_model, register_loss)"
        ) from None
    if not same_rules:
        raise DataError(f"{folder}: the clinical rules in {DESCRIPTION} are not those that its digest names")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise DataError(f"{folder}: {WEIGHTS} does not fit {config.model.name} ({first[0].strip()})") from None
    return Bundle(model.eval(), config, mean_shape, uncertainty, evidence, level_confidence, refusal)


def _with_known_layout(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A model that was trained on films of a registered layout is used without its reader."""
    data = dict(config["data"])
    return config if data.get("kind") in LAYOUT_NAMES else {**config, "data": data | {"kind": "auto"}}


def bundle_digest(folder: Path) -> str:
    """SHA-256 of the manifest, which covers all files; runs and the registry store it.

    Raises:
        DataError: there is no manifest.
    """
    if not (folder / MANIFEST).exists():
        raise DataError(_without_manifest(folder))
    return _digest(_read(folder, MANIFEST))


def _checked_files(folder: Path, digest: str | None = None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The description and all files of the model, checked against their digests."""
    if not folder.is_dir():
        raise DataError(f"{folder} holds no usable model: there is no such folder")
    if not (folder / MANIFEST).exists():
        raise DataError(_without_manifest(folder))
    content = _read(folder, MANIFEST)
    if digest is not None and _digest(content) != digest:
        raise DataError(
            f"{folder} is not the requested model: its digest is {_digest(content)[:12]}..., {digest[:12]}... "
            "is expected. Its files were changed, or it is another model: fetch it again from where it was trained"
        )
    manifest = _mapping(folder, MANIFEST, content)
    _require_format(folder, MANIFEST, manifest)
    entries = manifest.get("files")
    optional = [name for name in (NETWORK, PARITY) if isinstance(entries, dict) and name in entries]
    files = {name: _read(folder, name) for name in (DESCRIPTION, WEIGHTS, *optional)}
    for name, data in files.items():
        _require_same(folder, name, data, manifest)
    description = _mapping(folder, DESCRIPTION, files[DESCRIPTION])
    _require_format(folder, DESCRIPTION, description)
    return description, files


def _without_manifest(folder: Path) -> str:
    """Message for a folder without a manifest."""
    if not (folder / DESCRIPTION).exists():
        return f"{folder} holds no usable model: {DESCRIPTION} and {MANIFEST} are missing"
    if read_model_json(folder, DESCRIPTION).get("format") == FORMAT_WITHOUT_MANIFEST:
        return (
            f"{folder} is a model of format {FORMAT_WITHOUT_MANIFEST}, without {MANIFEST}: its files cannot be "
            f"verified. If you know where it comes from, convert it: {CONVERT}"
        )
    return f"{folder} holds no usable model: {MANIFEST} is missing, so its files cannot be verified: fetch it again"


def _require_same(folder: Path, name: str, data: bytes, manifest: Mapping[str, Any]) -> None:
    files = manifest.get("files")
    entry = files.get(name) if isinstance(files, dict) else None
    if not isinstance(entry, dict) or not {"bytes", "sha256"} <= entry.keys():
        raise DataError(f"{folder}: {MANIFEST} has no digest of {name}")
    if entry["bytes"] != len(data):
        raise DataError(f"{folder}: {name} has {len(data)} bytes where {entry['bytes']} were saved: fetch it again")
    if entry != _entry(data):
        raise DataError(f"{folder}: {name} was changed after it was saved (its SHA-256 differs): fetch it again")


def _require_format(folder: Path, name: str, tree: Mapping[str, Any]) -> None:
    stated = tree.get("format")
    if stated != FORMAT or isinstance(stated, bool | float):
        raise DataError(
            f"{folder}: {name} says model format {stated!r}, this version reads {FORMAT}. A model of format "
            f"{FORMAT_WITHOUT_MANIFEST} has no {MANIFEST}; one of a later format needs the spondylo_ml that wrote it"
        )


def read_model_json(folder: Path, name: str) -> dict[str, Any]:
    """One of the model's JSON objects, without checking its digest.

    Raises:
        DataError: it cannot be read, or is not a JSON object.
    """
    return _mapping(folder, name, _read(folder, name))


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DataError(f"{folder} holds no usable model: {name} cannot be read ({type(error).__name__})") from None


def _mapping(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(data)
    except ValueError as error:
        raise DataError(f"{folder} holds no usable model: {name} is not JSON ({error})") from None
    if not isinstance(tree, dict):
        raise DataError(f"{folder} holds no usable model: {name} holds {type(tree).__name__}, names and values needed")
    return tree


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, the manifest last: an incomplete copy has none and is not mistaken for a model."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {"format": FORMAT, "files": {name: _entry(data) for name, data in files.items()}}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": _digest(data)}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
