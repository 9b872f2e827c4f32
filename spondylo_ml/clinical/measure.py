"""From the vertebrae of one film to all its measurements, with a reason for each that is withheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spondylo_ml.clinical import level_measures
from spondylo_ml.clinical.facing import infer_facing
from spondylo_ml.clinical.level_measures import Spine
from spondylo_ml.clinical.levels import LevelNaming, name_levels
from spondylo_ml.clinical.measurement import SCHEMA_VERSION, FilmMeasurement
from spondylo_ml.clinical.meyerding import RULES
from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, Film, FloatArray, Spacing, Vertebra

ASPECT_TOLERANCE = 0.01
"""Spacing and pixel aspect may differ by so much of their ratio; a stretch that small moves a slip by under 0.5 %."""

STRETCHED = "the film was stretched by an unknown amount, which changes slips, angles and ratios"
NO_SPACING = "no pixel spacing is known"


@dataclass(frozen=True)
class _Side:
    facing: Facing
    source: str
    confidence: float
    reason: str  # why nothing that needs an anterior side can be measured


def measure_film(
    film: Film,
    rules: ClinicalConfig = RULES,
    *,
    vertebrae: Sequence[Vertebra] | None = None,
    levels_from: str | None = None,
    facing: Facing | None = None,
) -> FilmMeasurement:
    """Everything that can be measured on a film.

    Args:
        vertebrae: predicted ones, from the sacrum up, instead of the film's own.
        levels_from: why these have their slots; the film's own reason where None.
        facing: overrides the film's own; it is inferred where both are unknown.

    Raises:
        DataError: neither the film nor the caller has vertebrae.
    """
    own = film.vertebrae if vertebrae is None else vertebrae
    if own is None:
        raise DataError(f"film {film.film_id} has no corners to measure: give vertebrae")
    return measure_vertebrae(
        own,
        film.facing if facing is None else facing,
        rules,
        spacing=film.spacing,
        pixel_aspect=film.pixel_aspect,
        levels_from=film.levels_from if levels_from is None else levels_from,
    )


def measure_vertebrae(
    vertebrae: Sequence[Vertebra],
    facing: Facing,
    rules: ClinicalConfig = RULES,
    *,
    spacing: Spacing | None = None,
    pixel_aspect: float | None = 1.0,
    levels_from: str = LEVELS_LABELLED,
) -> FilmMeasurement:
    """As `measure_film`, from what it reads of a film; vertebrae of the same slot twice are refused."""
    slots = [v.slot for v in vertebrae]
    if len(set(slots)) < len(slots):
        raise DataError(f"a film has each level once; given slots {slots}")
    side = _side(vertebrae, facing, rules)
    naming = name_levels(vertebrae, side.facing, levels_from, rules)
    distorted = _distortion(spacing, pixel_aspect)
    spine = Spine(
        bodies={} if side.reason or distorted else _bodies(vertebrae, side.facing, spacing, pixel_aspect),
        names=naming.names,
        levels_known=naming.known,
        withheld=distorted or side.reason,
        mm_withheld="" if spacing else NO_SPACING,
        rules=rules,
    )
    return FilmMeasurement(
        schema_version=SCHEMA_VERSION,
        facing=side.facing.value,
        facing_from=side.source,
        facing_confidence=side.confidence,
        levels_known=naming.known,
        levels_confidence=naming.confidence,
        spacing_provenance=spacing.provenance if spacing else "",
        pixel_aspect=pixel_aspect,
        lordosis=level_measures.lordosis(spine, naming.reason),
        lordosis_variant=rules.lordosis,
        sacral_slope=level_measures.sacral_slope(spine, naming.reason),
        levels=level_measures.levels(spine),
        bodies=level_measures.bodies(spine),
        warnings=_warnings(side, naming, levels_from, spacing, distorted),
        rules=rules.model_dump(mode="json"),
        rules_digest=rules_digest(rules),
    )


def in_words(confidence: float) -> str:
    """A confidence that was calibrated on synthetic films, as precise as that allows."""
    if confidence == 1:
        return "of 1"
    return "above 0.99" if confidence > 0.99 else f"of {confidence:.2f}"


def _side(vertebrae: Sequence[Vertebra], facing: Facing, rules: ClinicalConfig) -> _Side:
    if facing is Facing.NONE:
        return _Side(facing, "given", 1.0, "an AP film has no anterior side")
    if facing is not Facing.UNKNOWN:
        return _Side(facing, "given", 1.0, "")
    estimate = infer_facing(vertebrae)
    reason = ""
    if estimate.facing is Facing.UNKNOWN:
        reason = "nothing on the film tells which side is anterior; give the facing"
    elif estimate.confidence < rules.least_facing_confidence:
        reason = (
            f"which side is anterior is uncertain ({estimate.facing.value} with a confidence of "
            f"{estimate.confidence:.2f}, {rules.least_facing_confidence:g} is needed); give the facing"
        )
    return _Side(estimate.facing, "inferred", estimate.confidence, reason)


def _distortion(spacing: Spacing | None, pixel_aspect: float | None) -> str:
    """Why lengths across and along the film cannot be compared; empty where they can."""
    if pixel_aspect is None:
        return STRETCHED
    if spacing and abs(spacing.x_mm / spacing.y_mm / pixel_aspect - 1) > ASPECT_TOLERANCE:
        return (
            f"the spacing ({spacing.x_mm:g} x {spacing.y_mm:g} mm) and the pixel aspect ({pixel_aspect:g}) disagree "
            "on the shape of a pixel"
        )
    return ""


def _bodies(
    vertebrae: Sequence[Vertebra], facing: Facing, spacing: Spacing | None, pixel_aspect: float | None
) -> Mapping[int, FloatArray]:
    """Bodies by slot, in mm where the spacing is known, else in px of an unstretched film."""
    pixel = pixel_size_xy(spacing, pixel_aspect)
    return {v.slot: patient_frame(v.corners_xy, facing, pixel) for v in vertebrae if v.present.any()}


def pixel_size_xy(spacing: Spacing | None, pixel_aspect: float | None) -> tuple[float, float]:
    """Width and height of a pixel: in mm where the spacing is known, else its aspect and 1; NaN where neither is."""
    return (spacing.x_mm, spacing.y_mm) if spacing else (pixel_aspect or np.nan, 1.0)


def _warnings(
    side: _Side, naming: LevelNaming, levels_from: str, spacing: Spacing | None, distorted: str
) -> tuple[str, ...]:
    told = [distorted, side.reason, naming.reason]
    if side.source == "inferred" and not side.reason:
        told.append(f"facing inferred: {side.facing.value}, with a confidence {in_words(side.confidence)}")
    if naming.known and levels_from != LEVELS_LABELLED:
        told.append(f"level names {levels_from}; with a confidence {in_words(naming.confidence)}")
    if naming.known and naming.names:
        told.append("levels are counted for five lumbar vertebrae; transitional anatomy is not looked for")
    if spacing and "imager" in spacing.provenance.lower():
        told.append("ImagerPixelSpacing is measured at the detector: mm are too large by the magnification")
    return tuple(text for text in told if text)
