"""Measure the vertebrae of one film; every measure that is withheld carries its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.clinical import level_measures
from spondylo_ml.clinical.facing import CONTRADICTION, infer_facing
from spondylo_ml.clinical.level_measures import Spine
from spondylo_ml.clinical.levels import LevelNaming, name_levels
from spondylo_ml.clinical.measurement import SCHEMA_VERSION, FilmMeasurement, LevelMeasurement
from spondylo_ml.clinical.meyerding import DEFAULT_RULES, SMALL_ENDPLATE_MM, grade0_range_percent
from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.plausibility import ImplausibleParts, find_implausible_parts
from spondylo_ml.clinical.rounding import rounded_beside
from spondylo_ml.clinical.rules import rules_digest
from spondylo_ml.clinical.scale import NO_SPACING, UNSTRETCHED, PixelGeometry, Scale, film_scale
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import LEVELS_LABELLED, Facing, Film, FloatArray, Vertebra
from spondylo_ml.spacing import Spacing

LEAST_EVIDENCE = 0.5
"""Nothing is measured on a film where the network's evidence is below this."""

WEAK_EVIDENCE = (
    "the network's evidence on this film is weak: its corners are far less definite than on the validation films; "
    "the film may not show a spine"
)


@dataclass(frozen=True)
class _UsedFacing:
    facing: Facing
    source: str
    confidence: float
    reason: str  # why the anterior side is unusable; empty if it is usable
    doubt: str = ""  # why a facing that was given may be wrong; empty if nothing speaks against it


def measure_film(
    film: Film,
    rules: ClinicalConfig = DEFAULT_RULES,
    *,
    vertebrae: Sequence[Vertebra] | None = None,
    levels_from: str | None = None,
    facing: Facing | None = None,
    evidence: float = 1.0,
    level_confidence: float = 1.0,
    cut_off: bool = False,
    refusal: str = "",
) -> FilmMeasurement:
    """Measure everything that can be measured on a film.

    Args:
        vertebrae: predictions, from the sacrum up; the film's labels if None.
        levels_from: source of the slots of `vertebrae`; the film's if None.
        facing: overrides the film's facing, which is inferred if unknown.
        evidence: the network's evidence for these vertebrae, 0 to 1; 1 for labels.
        level_confidence: its probability that more than half of the vertebrae have their level; 1 for labels.
        cut_off: whether the edge of the film cuts off the lower end of the lowest vertebra; False for labels.
        refusal: why nothing may be measured on the film at all; empty for labels.

    Raises:
        DataError: neither labels nor `vertebrae`.
    """
    measured = film.vertebrae if vertebrae is None else vertebrae
    if measured is None:
        raise DataError(f"film {film.film_id} has no corners to measure: give vertebrae")
    return measure_vertebrae(
        measured,
        film.facing if facing is None else facing,
        rules,
        pixels=PixelGeometry.of(film),
        levels_from=film.levels_from if levels_from is None else levels_from,
        evidence=evidence,
        level_confidence=level_confidence,
        cut_off=cut_off,
        refusal=refusal,
    )


def measure_vertebrae(
    vertebrae: Sequence[Vertebra],
    facing: Facing,
    rules: ClinicalConfig = DEFAULT_RULES,
    *,
    pixels: PixelGeometry = UNSTRETCHED,
    levels_from: str = LEVELS_LABELLED,
    evidence: float = 1.0,
    level_confidence: float = 1.0,
    cut_off: bool = False,
    refusal: str = "",
) -> FilmMeasurement:
    """As `measure_film`, without a `Film`.

    Raises:
        DataError: two vertebrae share a slot.
    """
    slots = [v.slot for v in vertebrae]
    if len(set(slots)) < len(slots):
        raise DataError(f"level listed more than once; given slots {slots}")
    evidence = 0.0 if refusal else evidence  # so that neither facing nor levels are named
    side = _used_facing(vertebrae, facing, rules, evidence)
    naming = name_levels(vertebrae, side.facing, levels_from, rules, evidence, level_confidence, cut_off)
    scale = film_scale(vertebrae, side.facing, pixels)
    no_spine = refusal or (WEAK_EVIDENCE if evidence < LEAST_EVIDENCE else "")
    withheld = no_spine or scale.withheld or side.reason
    lateral = side.facing is not Facing.NONE
    implausible = find_implausible_parts(vertebrae if lateral else (), naming.names, scale.pixel_aspect)
    spine = Spine(
        bodies={} if withheld else _bodies(vertebrae, side.facing, scale.pixel_size_xy),
        names=naming.names,
        levels_known=naming.known,
        withheld=withheld,
        mm_withheld=scale.mm_withheld,
        rules=rules,
        impossible=implausible.reasons,
        shape_doubt=scale.doubt,
        undone_bodies=_bodies(vertebrae, side.facing, scale.undone_pixel_size_xy) if scale.doubt else {},
    )
    levels = level_measures.levels(spine)
    warnings = _warnings(side, naming, levels_from, scale, no_spine, implausible)
    return FilmMeasurement(
        schema_version=SCHEMA_VERSION,
        facing=side.facing.value,
        facing_from=side.source,
        facing_confidence=side.confidence,
        levels_known=naming.known,
        levels_confidence=naming.confidence,
        spacing_provenance=scale.spacing.provenance if scale.spacing else "",
        pixel_aspect=scale.pixel_aspect,
        aspect_from=scale.aspect_from,
        lordosis=level_measures.lordosis(spine, naming.reason),
        lordosis_variant=rules.lordosis,
        sacral_slope=level_measures.sacral_slope(spine, naming.reason),
        withheld=withheld,
        levels=levels,
        bodies=level_measures.bodies(spine),
        warnings=(*warnings, *_small_slips(levels, rules)),
        rules=rules.model_dump(mode="json"),
        rules_digest=rules_digest(rules),
    )


def levels_by_geometry(
    vertebrae: Sequence[Vertebra], facing: Facing, rules: ClinicalConfig, spacing: Spacing | None, pixel_aspect: float
) -> tuple[LevelMeasurement, ...]:
    """Measure levels without any plausibility check, to compare the outputs of two networks; not for clinical use."""
    scale = Scale(spacing, pixel_aspect, "given", "", "" if spacing else NO_SPACING)
    names = {v.slot: v.level for v in vertebrae}
    bodies = _bodies(vertebrae, facing, scale.pixel_size_xy)
    return level_measures.levels(Spine(bodies, names, True, "", scale.mm_withheld, rules))


def confidence_in_words(confidence: float) -> str:
    """A confidence for a sentence, with no more digits than calibration on synthetic films supports."""
    if confidence == 1:
        return "of 1"
    return "above 0.99" if confidence > 0.99 else f"of {confidence:.2f}"


def _used_facing(vertebrae: Sequence[Vertebra], facing: Facing, rules: ClinicalConfig, evidence: float) -> _UsedFacing:
    if facing is Facing.NONE:
        return _UsedFacing(facing, "given", 1.0, "an AP film has no anterior side")
    estimate = infer_facing(vertebrae, evidence)
    if facing is not Facing.UNKNOWN:
        contradicted = estimate.facing not in (facing, Facing.UNKNOWN) and estimate.confidence >= CONTRADICTION
        doubt = f"the facing was given as {facing.value}, but the corners are those of a film that faces "
        doubt += f"{estimate.facing.value}: is that right? If not, all slips are wrong"
        return _UsedFacing(facing, "given", 1.0, "", doubt if contradicted else "")
    reason = ""
    if estimate.facing is Facing.UNKNOWN:
        reason = "nothing on the film shows which side is anterior; give the facing"
    elif estimate.confidence < rules.least_facing_confidence:
        shown = rounded_beside(estimate.confidence, 2, [rules.least_facing_confidence])
        reason = (
            f"which side is anterior is uncertain ({estimate.facing.value} with a confidence of {shown}, "
            f"{rules.least_facing_confidence:g} is needed); give the facing"
        )
    return _UsedFacing(estimate.facing, "inferred", estimate.confidence, reason)


def _small_slips(levels: Sequence[LevelMeasurement], rules: ClinicalConfig) -> tuple[str, ...]:
    """A warning if a slip is called grade I by the limit in percent that may be none by the one in mm."""
    low, high = rules.grade0_percent, grade0_range_percent(rules, math.nan)[1]
    if not any(level.slip_mm.reason and low <= abs(level.slip.value) < high for level in levels):
        return ()
    limit = f"less than {rules.grade0_mm:g} mm on a small endplate of {SMALL_ENDPLATE_MM:g} mm"
    known = (
        "no listhesis where the pixel spacing is known; without it they are called grade I, and a reader must decide"
    )
    return (f"slips of {low:g} to {round(high, 1):g} % are {limit}, which is {known}",)


def _bodies(
    vertebrae: Sequence[Vertebra], facing: Facing, pixel_size_xy: tuple[float, float]
) -> Mapping[int, FloatArray]:
    """Bodies by slot in the patient's frame: in mm if the spacing is known, else in px with a known stretch undone."""
    return {v.slot: patient_frame(v.corners_xy, facing, pixel_size_xy) for v in vertebrae if v.present.any()}


def _warnings(
    side: _UsedFacing,
    naming: LevelNaming,
    levels_from: str,
    scale: Scale,
    no_spine: str,
    implausible: ImplausibleParts,
) -> tuple[str, ...]:
    messages = [
        no_spine,
        scale.withheld,
        *scale.warnings,
        *implausible.warnings,
        side.reason,
        side.doubt,
        naming.reason,
    ]
    if side.source == "inferred" and not side.reason:
        messages.append(
            f"facing inferred: {side.facing.value}, with a confidence {confidence_in_words(side.confidence)}"
        )
    if naming.known and levels_from != LEVELS_LABELLED:
        sure_to = f", up to {implausible.names_sure_to}" if implausible.names_sure_to else ""
        confidence = confidence_in_words(naming.confidence)
        messages.append(f"level names {levels_from}{sure_to}; with a confidence {confidence}")
    if naming.known and naming.names:
        messages.append("levels are counted for five lumbar vertebrae; transitional anatomy is not detected")
    if scale.spacing and "imager" in scale.spacing.provenance.lower():
        messages.append("ImagerPixelSpacing is measured at the detector: mm are too large by the magnification")
    return tuple(text for text in messages if text)
