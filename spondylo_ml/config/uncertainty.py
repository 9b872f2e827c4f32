"""How sure a model is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spondylo_ml.config.section import Section


class UncertaintyConfig(Section):
    """How sure a model is of its corners, slips and grades; calibrated on the validation part."""

    source: Literal["heatmap", "flip", "dropout", "none"] = Field(
        "heatmap",
        description="a corner's spread: from its heatmap, from the film against its mirror image, from networks that "
        "drop parts (Monte Carlo dropout; takes dropout_passes times as long), or none",
    )
    dropout_passes: int = Field(20, ge=5, le=1000, description="dropout: predictions of each film with dropout")
    window_sigmas: float = Field(
        5.0, ge=1, le=20, description="heat further from a corner than so many standard deviations is not its spread"
    )
    coverage: float = Field(0.9, ge=0.5, le=0.99, description="share of true slips that the intervals are made for")
    condition: Literal["level_and_grade", "level"] = Field(
        "level_and_grade",
        description="coverage holds at each level and true grade, or only at each level: narrower, fewer levels are "
        "referred, but slipped ones are covered less often than stated",
    )
    samples: int = Field(1000, ge=100, le=100000, description="Monte Carlo samples of a film's corners")
    least_levels: int = Field(
        30, ge=10, description="levels needed to calibrate a level or grade by itself, and to calibrate slips at all"
    )
