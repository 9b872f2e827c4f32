"""Convert models of former formats to the current one. No other module reads former formats."""

from __future__ import annotations

from pathlib import Path

from spondylo_ml.errors import DataError
from spondylo_ml.serving.bundle import (
    FORMAT,
    FORMAT_WITHOUT_MANIFEST,
    MANIFEST,
    WEIGHTS,
    bundle_digest,
    bundle_from_description,
    read_model_json,
    save_bundle,
)
from spondylo_ml.serving.local_model import DESCRIPTION


def convert_bundle(source: Path, to: Path) -> str:
    """Convert the model of format 1 in `source` to the current format in `to`, and return its digest.

    The files of format 1 have no digests, so changes to them cannot be detected.

    Raises:
        DataError: another format, a missing file, or not a model of this version.
    """
    description = read_model_json(source, DESCRIPTION)
    stated = description.get("format")
    if (source / MANIFEST).exists() or stated != FORMAT_WITHOUT_MANIFEST:
        raise DataError(
            f"{source}: only models of format {FORMAT_WITHOUT_MANIFEST}, which have no {MANIFEST}, are converted; "
            f"{DESCRIPTION} says format {stated!r}"
            + (f", whose {MANIFEST} belongs to it: fetch the model again" if stated == FORMAT else "")
        )
    try:
        weights = (source / WEIGHTS).read_bytes()
    except OSError as error:
        raise DataError(f"{source} holds no usable model: {WEIGHTS} cannot be read ({type(error).__name__})") from None
    save_bundle(bundle_from_description(source, description, weights), to)
    return bundle_digest(to)
