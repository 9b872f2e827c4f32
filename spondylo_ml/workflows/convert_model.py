"""`convert-model`: a model of a former format, written anew in the current one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spondylo_ml.config import ConvertModelConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.folders import require_empty_folder
from spondylo_ml.serving.bundle_formats import convert_bundle
from spondylo_ml.serving.model_source import model_folder


@dataclass(frozen=True)
class Converted:
    """What a conversion leaves.

    Attributes:
        digest: of the model in `folder`, to pin it by.
    """

    source: str
    folder: Path
    digest: str


def convert_model(config: ConvertModelConfig) -> Converted:
    """Write the model anew.

    Raises:
        SpondyloError: no such model, not of a former format, or a target that is not free.
    """
    folder = expanded(config.to)
    require_empty_folder(folder)
    source = model_folder(config.model)
    return Converted(config.model, folder, convert_bundle(source, folder))
