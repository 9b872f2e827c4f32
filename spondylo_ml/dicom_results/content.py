"""The content of a Structured Report by template TID 1500, from the report of a film.

A measurement group (TID 1501) for the whole film, for each level and for each vertebra. A number is there only where
the report has one; else a text with the same name says why. Each corner is a point on the source image, from which its
confidence is inferred. A point's coordinates count from the outer corner of the first pixel (PS3.3 C.18.6), the film's
from that pixel's centre.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import numpy as np
from highdicom import UID, sr
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from spondylo_ml.clinical.measure import confidence_in_words
from spondylo_ml.clinical.measurement import (
    NAMES_IN_DOUBT,
    FilmMeasurement,
    LevelMeasurement,
    LevelUncertainty,
    Measure,
    format_slip_intervals,
)
from spondylo_ml.dicom_results import codes as own
from spondylo_ml.film_report.report import FilmReport, ReportedBody
from spondylo_ml.landmarks import FilmPrediction, patient_corners
from spondylo_ml.version import __version__

SOFTWARE = "spondylo_ml"
PIXEL_CENTRE = 0.5
"""Position of the first pixel's centre in an SCOORD, px."""

NO_INTERVAL = "the model states no interval for this level"
NOTHING_EXCLUDED = "no slip is excluded at this level"


@dataclass(frozen=True)
class Algorithm:
    """The model that read the film.

    Attributes:
        digest: SHA-256 of its manifest.
    """

    name: str
    digest: str


@dataclass
class _Items:
    """What goes into a measurement group, in order of kind."""

    numbers: list[sr.Measurement] = field(default_factory=list)
    codes: list[sr.QualitativeEvaluation] = field(default_factory=list)
    texts: list[sr.TextContentItem] = field(default_factory=list)

    def add(self, name: CodedConcept, measure: Measure, method: CodedConcept | None = None) -> None:
        """Add the value of a measure, or the reason why there is none."""
        if measure.reason:
            self.say(name, f"not measured: {measure.reason}")
        else:
            value = float(measure.value) + 0.0  # -0.0 becomes 0.0
            self.numbers.append(sr.Measurement(name, value, own.UNITS[measure.unit], method=method))

    def say(self, name: CodedConcept, text: str) -> None:
        """Add a text."""
        self.texts.append(sr.TextContentItem(name, text, sr.RelationshipTypeValues.CONTAINS))


@dataclass(frozen=True)
class _Writer:
    """Makes the groups of one report."""

    report: FilmReport
    prediction: FilmPrediction
    source: Dataset
    algorithm: Algorithm

    def groups(self) -> list[sr.MeasurementsAndQualitativeEvaluations]:
        by_slot = {u.upper_slot: u for u in self.report.uncertainty}
        bodies = () if self.prediction.refusal else self.report.corners
        return [
            self._film(),
            *(self._level(level, by_slot.get(level.upper_slot)) for level in self.report.measurement.levels),
            *(self._vertebra(body) for body in bodies),
        ]

    def _film(self) -> sr.MeasurementsAndQualitativeEvaluations:
        measurement, items = self.report.measurement, _Items()
        items.add(own.LORDOSIS, measurement.lordosis)
        items.add(own.SACRAL_SLOPE, measurement.sacral_slope)
        items.say(own.NOTICE, self.report.notice)
        after_turn = ", after the turn" if self.prediction.quarter_turns else ""
        items.say(own.FACING, f"{_facing(measurement)}{after_turn}")
        for warning in measurement.warnings:
            items.say(own.WARNING, warning)
        return self._group("lumbar spine", own.LUMBAR_SPINE, items)

    def _level(
        self, level: LevelMeasurement, uncertainty: LevelUncertainty | None
    ) -> sr.MeasurementsAndQualitativeEvaluations:
        items, method = _Items(), own.METHODS[level.slip_method]
        items.add(own.SLIP, level.slip, method)
        items.add(own.SLIP_MM, level.slip_mm, method)
        _add_interval(items, level, uncertainty)
        items.add(own.SEGMENTAL_ANGLE, level.segmental_angle)
        items.add(own.DISC_ANGLE, level.disc_angle)
        items.add(own.DISC_HEIGHT_INDEX, level.disc_height_index)
        if level.grade is None:
            items.say(own.GRADE, f"not measured: {level.slip.reason}")
        else:
            items.codes.append(sr.QualitativeEvaluation(own.GRADE, own.GRADES[level.grade]))
        upper, _, lower = level.name.partition("/")
        sure = self._names_sure_to(level.upper_slot)
        return self._group(level.name, own.level_site(upper, lower) if sure else None, items)

    def _vertebra(self, body: ReportedBody) -> sr.MeasurementsAndQualitativeEvaluations:
        items = _Items()
        scores = self.prediction.corner_score[body.slot - self.prediction.slots.first]
        measured = self.report.measurement
        names = patient_corners(measured.certain_facing)
        for name, xy_px, score in zip(names, body.corners_px, scores, strict=True):
            concept = own.CORNER_CONFIDENCE[name]
            if fault := self._fault(xy_px):
                items.say(concept, f"no corner: {fault}")
            else:
                at = [self._point(np.array([xy_px], dtype=np.float64))]
                items.numbers.append(
                    sr.Measurement(concept, float(score), own.UNITS["ratio"], referenced_coordinates=at)
                )
        for ratios in measured.bodies:
            if ratios.slot == body.slot:
                items.add(own.WEDGE_RATIO, ratios.wedge_ratio)
                items.add(own.COMPRESSION_RATIO, ratios.compression_ratio)
        sure = self._names_sure_to(body.slot)
        return self._group(body.name, own.vertebra_site(body.name) if sure else None, items)

    def _names_sure_to(self, slot: int) -> bool:
        """Whether the name of a vertebra is certain: levels are named, and no gap below it puts names in doubt."""
        measured = self.report.measurement
        doubted = [level.upper_slot for level in measured.levels if NAMES_IN_DOUBT in level.slip.reason]
        doubted += [body.slot for body in measured.bodies if NAMES_IN_DOUBT in body.wedge_ratio.reason]
        return self._levels_known and slot < min(doubted, default=slot + 1)

    def _fault(self, xy_px: tuple[float, float] | None) -> str:
        """Why there can be no point; empty if there can."""
        if xy_px is None:
            return "not found"
        height, width = self.report.size_hw_px
        inside = all(
            -PIXEL_CENTRE <= at <= side - PIXEL_CENTRE for at, side in zip(xy_px, (width, height), strict=True)
        )
        return "" if inside else "outside the film"

    def _point(self, xy_px: np.ndarray) -> sr.CoordinatesForMeasurement:
        image = sr.SourceImageForRegion(self.source.SOPClassUID, self.source.SOPInstanceUID)
        return sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POINT, xy_px + PIXEL_CENTRE, image)

    @property
    def _levels_known(self) -> bool:
        """Whether the names of vertebrae and levels are anatomical, so that they have codes."""
        return self.report.measurement.levels_known

    def _group(
        self, name: str, site: Code | CodedConcept | None, items: _Items
    ) -> sr.MeasurementsAndQualitativeEvaluations:
        group = sr.MeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(UID(), name),
            algorithm_id=sr.AlgorithmIdentification(
                self.algorithm.name, f"{SOFTWARE} {__version__}", [f"sha256 {self.algorithm.digest}"]
            ),
            finding_sites=None if site is None else [sr.FindingSite(site)],
            measurements=items.numbers,
            qualitative_evaluations=items.codes,
            source_images=[sr.SourceImageForMeasurementGroup(self.source.SOPClassUID, self.source.SOPInstanceUID)],
        )
        group[0].ContentSequence.extend(items.texts)
        return group


def _facing(measurement: FilmMeasurement) -> str:
    """The side to which the patient's front points, and how it is known."""
    if measurement.facing_from == "given":
        return f"{measurement.facing} (given)"
    confidence = confidence_in_words(measurement.facing_confidence)
    unused = "" if measurement.side_known else ", too uncertain to be used"
    return f"{measurement.facing} (inferred, with a confidence {confidence}{unused})"


def _add_interval(items: _Items, level: LevelMeasurement, uncertainty: LevelUncertainty | None) -> None:
    """Add the slips that cannot be excluded, their probability, and the verdict on the grade."""
    if uncertainty is None:
        items.say(own.VERDICT, NO_INTERVAL)
        return
    ends = (own.SLIP_LOW, uncertainty.low_percent), (own.SLIP_HIGH, uncertainty.high_percent)
    for name, percent in ends:
        reason = "" if percent is not None else level.slip.reason or NOTHING_EXCLUDED
        items.add(name, Measure(np.nan if percent is None else percent, "%", reason))
    if uncertainty.coverage is not None and uncertainty.pieces_percent:
        items.add(own.COVERAGE, Measure(uncertainty.coverage, "ratio"))
    if len(uncertainty.pieces_percent) > 1:
        items.say(own.SLIP_PIECES, format_slip_intervals(uncertainty.pieces_percent) + " %")
    items.say(own.VERDICT, uncertainty.verdict)


def measurement_report(
    report: FilmReport, prediction: FilmPrediction, source: Dataset, algorithm: Algorithm
) -> sr.MeasurementReport:
    """The content by TID 1500.

    Args:
        source: the film's elements, from `read_source`.
    """
    device = sr.DeviceObserverIdentifyingAttributes(
        UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, algorithm.digest).int}"),
        name=SOFTWARE,
        manufacturer_name=SOFTWARE,
        model_name=algorithm.name,
    )
    observer = sr.ObserverContext(codes.DCM.Device, device)
    groups = _Writer(report, prediction, source, algorithm).groups()
    return sr.MeasurementReport(sr.ObservationContext(observer), own.RADIOGRAPHY, imaging_measurements=groups)
