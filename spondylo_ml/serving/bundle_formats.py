"""Models of former formats, written anew in the current one. Only this reads them, and only where it is asked to."""

from __future__ import annotations

from pathlib import Path

from spondylo_ml.errors import DataError
from spondylo_ml.serving.bundle import (
    FORMAT,
    FORMAT_WITHOUT_MANIFEST,
    MANIFEST,
    WEIGHTS,
    bundle_digest,
    described_bundle,
    read_json,
    save_bundle,
)
from spondylo_ml.serving.model_address import DESCRIPTION


def convert_bundle(source: Path, to: Path) -> str:
    """Write the model of format 1 in `source` to `to` in the current format; the digest of what was written.

    The files of format 1 have no digests: what is converted is what lies there now.

    Raises:
        DataError: it is of another format, a file is missing, or does not describe a model of this version.
    """
    description = read_json(source, DESCRIPTION)
    found = description.get("format")
    if (source / MANIFEST).exists() or found != FORMAT_WITHOUT_MANIFEST:
        raise DataError(
            f"{source}: only models of format {FORMAT_WITHOUT_MANIFEST}, which have no {MANIFEST}, are converted; "
            f"{DESCRIPTION} says format {found!r}"
            + (f", whose {MANIFEST} belongs to it: fetch the model again" if found == FORMAT else "")
        )
    try:
        weights = (source / WEIGHTS).read_bytes()
    except OSError as error:
        raise DataError(f"{source} holds no usable model: {WEIGHTS} cannot be read ({type(error).__name__})") from None
    save_bundle(described_bundle(source, description, weights), to)
    return bundle_digest(to)
