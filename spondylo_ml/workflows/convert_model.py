"""`convert-model`: a model of an older format, written in the current one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spondylo_ml.config import ConvertModelConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.folders import require_empty_folder
from spondylo_ml.serving.bundle_formats import convert_bundle
from spondylo_ml.serving.model_source import model_folder


@dataclass(frozen=True)
class ConversionResult:
    """The result of a conversion.

    Attributes:
        digest: pins the model in `folder`.
    """

    source: str
    folder: Path
    digest: str


def convert_model(config: ConvertModelConfig) -> ConversionResult:
    """Convert the model.

    Raises:
        SpondyloError: no such model, its format is not an older one, or the target folder is not empty.
    """
    folder = expanded(config.to)
    require_empty_folder(folder)
    source = model_folder(config.model)
    return ConversionResult(config.model, folder, convert_bundle(source, folder))
