"""Configuration of uncertainty."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spondylo_ml.config.section import Section


class UncertaintyConfig(Section):
    """Uncertainty of corners, slips and grades, calibrated on the validation part."""

    source: Literal["heatmap", "flip", "dropout", "none"] = Field(
        "heatmap",
        description="spread of a corner: from its heatmap, from the film and its mirror image (flip), from Monte "
        "Carlo dropout (takes dropout_passes times as long), or none",
    )
    dropout_passes: int = Field(20, ge=5, le=1000, description="dropout: predictions of each film")
    window_sigmas: float = Field(
        5.0,
        ge=1,
        le=20,
        description="heat further from a corner than this many standard deviations does not count towards its spread",
    )
    coverage: float = Field(
        0.9, ge=0.5, le=0.99, description="fraction of true slips that the intervals should contain"
    )
    kept_accuracy: float = Field(
        0.95,
        ge=0.5,
        le=0.999,
        description="fraction of the levels not referred whose grade should be right; more levels are referred until "
        "it is reached on the calibration films",
    )
    condition: Literal["level_and_grade", "level"] = Field(
        "level_and_grade",
        description="coverage holds at each true grade (the scale of the intervals follows the level), or only over "
        "all levels: narrower intervals and fewer referrals, but slipped levels are covered less often than stated",
    )
    samples: int = Field(1000, ge=100, le=100000, description="Monte Carlo samples of a film's corners")
    least_levels: int = Field(
        30, ge=10, description="fewest levels to calibrate a grade separately, and to calibrate slips at all"
    )
