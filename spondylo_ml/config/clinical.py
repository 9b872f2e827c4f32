"""Configuration of the clinical rules."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from spondylo_ml.config.section import Section


class ClinicalConfig(Section):
    """Rules that turn corners into measurements and grades; a model carries them like its weights."""

    version: Literal[1] = Field(1, description="version of these rules")
    slip_method: Literal["endplate", "posterior_wall"] = Field(
        "endplate",
        description="measure the slip along the lower vertebra's superior endplate, or between parallels to the "
        "posterior wall",
    )
    grade_limits_percent: tuple[float, float, float, float] = Field(
        (25.0, 50.0, 75.0, 100.0), description="upper limits of Meyerding grades I to IV, inclusive, percent"
    )
    grade0_rule: Literal["mm_if_spacing", "percent"] = Field(
        "mm_if_spacing", description="limit of grade 0: grade0_mm if the spacing is known, or always grade0_percent"
    )
    grade0_percent: float = Field(5.0, gt=0, le=25, description="a slip below this is no listhesis, percent")
    grade0_mm: float = Field(3.0, gt=0, le=10, description="a slip below this is no listhesis, mm")
    lordosis: Literal["L1-S1", "L1-L5"] = Field(
        "L1-S1", description="angle from L1's superior endplate to S1's superior or L5's inferior one"
    )
    degenerate_fraction: float = Field(
        0.2,
        ge=0.01,
        lt=1,
        description="an endplate shorter than this fraction of the longest edge beside it cannot be measured",
    )
    least_facing_confidence: float = Field(
        0.9,
        ge=0.5,
        lt=1,
        description="an inferred facing with less confidence is not used, and what depends on it is withheld",
    )
    least_sacrum_confidence: float = Field(
        0.9, ge=0.5, lt=1, description="an inferred sacrum with less confidence gives no level names"
    )

    instability_mm: float = Field(
        3.0, gt=0, le=20, description="a level whose slip changes by more between flexion and extension is unstable, mm"
    )
    instability_deg: float = Field(
        12.0, gt=0, le=60, description="a level whose segmental angle changes by more is unstable, degrees"
    )

    @field_validator("grade_limits_percent")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(a < b for a, b in zip((0.0, *value[:-1]), value, strict=True)):
            raise ValueError("the limits must rise, the first above 0")
        return value

    @model_validator(mode="after")
    def _grade_0_below_grade_1(self) -> ClinicalConfig:
        if self.grade0_percent >= self.grade_limits_percent[0]:
            raise ValueError("grade0_percent must lie below the first of grade_limits_percent, or grade I is empty")
        return self
