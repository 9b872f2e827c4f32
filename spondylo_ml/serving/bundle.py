"""A trained model on disk: weights in safetensors, all else in JSON. Nothing is unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import Config, validate
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.mean_shape import MeanShape
from spondylo_ml.evaluation.uncertainty import UncertaintyModel
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.zoo import build_model

WEIGHTS, DESCRIPTION = "weights.safetensors", "bundle.json"
FORMAT = 1


@dataclass(frozen=True)
class Bundle:
    """A model with all that is needed to use and to judge it.

    Attributes:
        config: resolved configuration; its data part holds the input size and the slots.
        mean_shape: the trivial predictor of the same training films.
        uncertainty: calibrated on the validation films; None where they were too few, or the model has no spread.
    """

    model: LandmarkModel
    config: Config
    mean_shape: MeanShape
    uncertainty: UncertaintyModel | None = None

    @property
    def slots(self) -> SlotRange:
        """The levels for which the model has outputs."""
        return self.model.slots


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the two files into `folder`, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().contiguous() for name, value in bundle.model.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    description = {
        "format": FORMAT,
        "slots": {"first": bundle.slots.first, "count": bundle.slots.count},
        "config": bundle.config.model_dump(mode="json"),
        "clinical_rules": rules_digest(bundle.config.clinical),
        "mean_shape": bundle.mean_shape.to_json(),
        "uncertainty": bundle.uncertainty.model_dump(mode="json") if bundle.uncertainty else None,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")


def load_bundle(folder: Path) -> Bundle:
    """The inverse of `save_bundle`, on the CPU and ready to predict.

    Raises:
        DataError: a file is missing or damaged, or does not fit the model.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        state = load_file(folder / WEIGHTS)
    except (OSError, json.JSONDecodeError, SafetensorError) as error:
        raise DataError(f"{folder} holds no usable model ({type(error).__name__}: {error})") from None
    if description.get("format") != FORMAT:
        raise DataError(f"{folder}: model format {description.get('format')}, this version reads {FORMAT}")
    config = validate(Config, description["config"])
    model = build_model(config, SlotRange(**description["slots"]))
    model.load_state_dict(state)
    model.eval()
    calibrated = description.get("uncertainty")
    uncertainty = validate(UncertaintyModel, calibrated) if calibrated else None
    return Bundle(model, config, MeanShape.from_json(description["mean_shape"]), uncertainty)
