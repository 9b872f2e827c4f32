"""The options of `deidentify`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from spondylo_ml.config.paths import PathList
from spondylo_ml.config.section import Section


class DeidentifyConfig(Section):
    """Which DICOM films to de-identify, and what to do with letters in their pixels."""

    films: PathList = Field(
        min_length=1, description="DICOM files, folders, or patterns such as 'films/*.dcm', separated by commas"
    )
    to: Path = Field(description="new or empty folder for the de-identified films, their table and pictures")
    burned_in_text: Literal["mask", "refuse"] = Field(
        "mask", description="letters found at the margins of a film, side markers too: mask them, or refuse the film"
    )
    pictures: int = Field(24, ge=0, le=300, description="films drawn on the page, those with something masked first")
    private_names: bool = Field(False, description="also write names_private.csv, the table of files and pseudonyms")
