"""Configuration of how a trained model reads a film."""

from __future__ import annotations

from pydantic import Field

from spondylo_ml.config.section import Section


class ReadingConfig(Section):
    """How a film is read; a model carries it like its weights."""

    crop: bool = Field(
        False,
        description="read a film a second time on a crop around its spine where the vertebrae are small in the "
        "network's input, as on the whole film of a detector, and on overlapping crops where too few are found; the "
        "reading with the higher score is kept",
    )
    small_below: float = Field(
        0.6,
        gt=0,
        le=2,
        description="crop: vertebrae are small below this fraction of their mean size on the training films, in input "
        "px",
    )
    scan_below: int = Field(
        4,
        ge=0,
        le=25,
        description="crop: the whole film is searched by overlapping crops if fewer vertebrae are found; 25: always",
    )
    turn: bool = Field(
        False,
        description="read a film turned by 90 degrees either way and by 180 if fewer than four vertebrae are found "
        "upright, or their levels have no names",
    )
    check_levels: bool = Field(
        False,
        description="read each film again on three parts of it; where they give its vertebrae other names, the levels "
        "are uncertain",
    )
    false_refusals: float = Field(
        0.01,
        ge=0,
        le=0.5,
        description="refuse films that do not look like lateral lumbar films, at a limit that refuses less than this "
        "fraction of those that are, by the validation films; 0: refuse none",
    )
