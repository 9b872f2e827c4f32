"""Structured Reports written, read back by highdicom, and compared with the report they are made from."""

from __future__ import annotations

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from dicom_studies import ALGORITHM, film_and_prediction, objects
from dicoms import PATIENT, PLANTED_WORDS, file_bytes, study_film, write
from highdicom.sr import ComprehensiveSR, srread
from pydicom import Dataset, dcmread
from reports import report_of

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.clinical.measurement import NAMES_IN_DOUBT, Measure
from spondylo_ml.dicom_results import codes
from spondylo_ml.dicom_results.installed import require_installed
from spondylo_ml.dicom_results.source import read_source
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.film_report.report import FilmReport, film_report
from spondylo_ml.landmarks import CORNERS, PATIENT_CORNERS, Film, FilmPrediction, Vertebra
from spondylo_ml.spacing import Spacing

SAME_CORNER_PX = 0.01


def read_back(instance: Dataset) -> ComprehensiveSR:
    stream = BytesIO()
    instance.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return srread(stream)


def groups_of(report: ComprehensiveSR) -> dict[str, Any]:
    """The measurement groups by name."""
    return {group.tracking_identifier: group for group in report.content.get_image_measurement_groups()}


def numbers_of(group: Any) -> dict[str, float]:
    return {measurement.name.value: measurement.value for measurement in group.get_measurements()}


def texts_of(group: Any) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for item in group[0].ContentSequence:
        if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS":
            texts.setdefault(item.ConceptNameCodeSequence[0].CodeValue, []).append(item.TextValue)
    return texts


def points_of(group: Any) -> dict[str, np.ndarray]:
    """(2,) position by corner, px of the film."""
    points = {}
    for measurement in group.get_measurements():
        for item in measurement.referenced_coordinates:
            (image,) = item.ContentSequence
            assert item.GraphicType == "POINT"
            assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            points[measurement.name.value] = np.array(item.GraphicData, dtype=float) - 0.5
    return points


def assert_same(sr: ComprehensiveSR, report: FilmReport) -> None:
    """Every value, reason and corner of the report is in the Structured Report, and no other number."""
    groups = groups_of(sr)
    assert set(groups) == {
        "lumbar spine", *(level.name for level in report.measurement.levels), *(body.name for body in report.corners)
    }  # fmt: skip
    for level in report.measurement.levels:
        group = groups[level.name]
        numbers, texts = numbers_of(group), texts_of(group)
        for code, measure in (
            ("SLIP", level.slip), ("SLIP_MM", level.slip_mm), ("SEGMENTAL_ANGLE", level.segmental_angle),
            ("DISC_ANGLE", level.disc_angle), ("DISC_HEIGHT", level.disc_height_index),
        ):  # fmt: skip
            assert_measure(code, measure, numbers, texts)
        grades = [e.value.value for e in group.get_qualitative_evaluations()]
        assert grades == ([] if level.grade is None else [f"GRADE_{level.grade}"])
        assert ("GRADE" in texts) == (level.grade is None)
    assert_measure(
        "LORDOSIS", report.measurement.lordosis, numbers_of(groups["lumbar spine"]), texts_of(groups["lumbar spine"])
    )
    for body in report.corners:
        points, texts = points_of(groups[body.name]), texts_of(groups[body.name])
        inside = [xy for xy in body.corners_px if xy is not None and is_inside(xy, report.size_hw_px)]
        assert len(points) == len(inside)
        assert sum(text.startswith("no corner: ") for all_of in texts.values() for text in all_of) == 4 - len(inside)
        if inside:
            np.testing.assert_allclose(list(points.values()), inside, atol=SAME_CORNER_PX)


def is_inside(xy_px: tuple[float, float], size_hw_px: tuple[int, int]) -> bool:
    return all(-0.5 <= at <= side - 0.5 for at, side in zip(xy_px, reversed(size_hw_px), strict=True))


def assert_measure(code: str, measure: Measure, numbers: dict[str, float], texts: dict[str, list[str]]) -> None:
    if measure.reason:
        assert texts[code] == [f"not measured: {measure.reason}"]
        assert code not in numbers
    else:
        assert numbers[code] == pytest.approx(measure.value, abs=1e-9)
        assert code not in texts


def result(tmp_path: Path, *slips: float, **fields: Any) -> tuple[ComprehensiveSR, Film, FilmPrediction, Path]:
    film, prediction = film_and_prediction(*slips)
    path = write(study_film(film.image.read().astype(np.uint16), **fields), tmp_path)
    report, _ = objects(path, film, prediction)
    return read_back(report), film, prediction, path


def test_all_values_reasons_and_corners_are_read_back(tmp_path: Path) -> None:
    sr, film, prediction, _ = result(tmp_path, 12.0, -4.0, 30.0)
    assert_same(sr, report_of(film))
    groups = groups_of(sr)
    assert set(groups) == {"lumbar spine", "L5/S1", "L4/L5", "L3/L4", "S1", "L5", "L4", "L3"}
    level = groups["L5/S1"]
    numbers = numbers_of(level)
    assert numbers["SLIP"] == pytest.approx(12.0)
    assert (numbers["SLIP_LOW"], numbers["SLIP_HIGH"], numbers["COVERAGE"]) == (4.0, 16.0, 0.9)
    texts = texts_of(level)
    assert texts["VERDICT"] == ["indeterminate between 0 and I, refer"]
    assert texts["SLIP_PIECES"] == ["+4.0 to +6.5 or +8.0 to +16.0 %"]
    assert texts["SLIP_MM"][0].startswith("not measured: ")
    assert texts_of(groups["L4/L5"])["VERDICT"] == ["the model states no interval for this level"]
    assert texts_of(groups["lumbar spine"])["NOTICE"][0].startswith("Research use only. Not a medical device")
    assert [site.value.value for site in level.finding_sites] == ["243927000"]
    assert [site.value.value for site in groups["L4"].finding_sites] == ["11994002"]
    assert [(s.value.value, s.value.scheme_designator) for s in groups["S1"].finding_sites] == [
        ("S1_VERTEBRA", codes.SCHEME)
    ]
    confidence = numbers_of(groups["L4"])
    assert [confidence[name] for name in ("SUP_ANT", "SUP_POST", "INF_ANT", "INF_POST")] == list(
        prediction.corner_score[2]
    )
    assert texts_of(groups["S1"])["INF_ANT"] == ["no corner: not found"]


def test_the_algorithm_its_digest_and_the_state_of_the_document_are_named(tmp_path: Path) -> None:
    sr, _, _, _ = result(tmp_path, 12.0)
    assert (sr.VerificationFlag, sr.PreliminaryFlag, sr.ContentQualification) == (
        "UNVERIFIED",
        "PRELIMINARY",
        "RESEARCH",
    )
    assert "research use only" in sr.SeriesDescription
    texts = {
        item.ConceptNameCodeSequence[0].CodeValue: item.TextValue
        for item in groups_of(sr)["L5/S1"][0].ContentSequence
        if item.ValueType == "TEXT" and item.RelationshipType == "HAS CONCEPT MOD"
    }
    assert texts["111001"] == ALGORITHM.name
    assert texts["111003"].startswith("spondylo_ml ")
    assert texts["111002"] == f"sha256 {ALGORITHM.digest}"
    (observer,) = sr.content.get_observer_contexts()
    assert observer.observer_identifying_attributes.name == "spondylo_ml"


def test_the_document_belongs_to_the_study_and_patient_and_names_no_one_else(tmp_path: Path) -> None:
    sr, film, prediction, path = result(tmp_path, 12.0, planted=True)
    source = dcmread(path)
    for instance in (sr, objects(path, film, prediction)[1]):
        assert {name: str(instance[name].value) for name in PATIENT} == PATIENT
        assert instance.StudyInstanceUID == source.StudyInstanceUID
        assert instance.SeriesInstanceUID != source.SeriesInstanceUID
        stream = BytesIO()
        instance.save_as(stream, enforce_file_format=True)
        assert not [word for word in PLANTED_WORDS if word.encode() in stream.getvalue()]
        assert film.film_id.encode() not in stream.getvalue()
    reference = sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == source.SeriesInstanceUID
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_a_point_lies_in_the_stored_pixel_of_its_corner(tmp_path: Path) -> None:
    """Marked pixels of the stored matrix, whatever orientation the header states: nothing is turned or mirrored."""
    film, prediction = film_and_prediction(12.0)
    corners = np.rint(film.vertebrae[1].corners_xy).astype(int)  # type: ignore[index]
    whole = replace(film, vertebrae=(Vertebra(1, corners.astype(float)),))
    levels = np.zeros(film.size_hw, dtype=np.uint16)
    for marker, (x, y) in enumerate(corners, start=1):
        levels[y, x] = 1000 * marker
    path = write(study_film(levels, PatientOrientation=["P", "H"], PhotometricInterpretation="MONOCHROME1"), tmp_path)
    sr = read_back(objects(path, whole, prediction, film_report(whole, measure_film(whole)))[0])
    stored = dcmread(path).pixel_array
    points = [item for m in groups_of(sr)["L5"].get_measurements() for item in m.referenced_coordinates]
    at = [np.floor(item.GraphicData).astype(int) for item in points]
    assert [stored[y, x] for x, y in at] == [1000, 2000, 3000, 4000]


def test_with_a_spacing_there_are_mm_and_without_a_facing_the_corners_have_the_names_of_the_image(
    tmp_path: Path,
) -> None:
    film, prediction = film_and_prediction(12.0, 5.0)
    path = write(study_film(film.image.read().astype(np.uint16)), tmp_path)
    scaled = replace(film, spacing=Spacing(0.5, 0.5, "given"))
    report = report_of(scaled)
    sr = read_back(objects(path, scaled, prediction, report)[0])
    assert_same(sr, report)
    assert numbers_of(groups_of(sr)["L5/S1"])["SLIP_MM"] == pytest.approx(report.measurement.levels[0].slip_mm.value)
    unknown = replace(report, measurement=replace(report.measurement, facing="unknown"))
    names = points_of(groups_of(read_back(objects(path, scaled, prediction, unknown)[0]))["L5"])
    assert list(names) == ["SUP_LEFT", "SUP_RIGHT", "INF_LEFT", "INF_RIGHT"]
    guessed = replace(report.measurement, facing_from="inferred", facing_confidence=0.54)
    groups = groups_of(read_back(objects(path, scaled, prediction, replace(report, measurement=guessed))[0]))
    assert list(points_of(groups["L5"])) == ["SUP_LEFT", "SUP_RIGHT", "INF_LEFT", "INF_RIGHT"]
    assert texts_of(groups["lumbar spine"])["FACING"] == [
        "left (inferred, with a confidence of 0.54, too uncertain to be used)"
    ]


def test_a_set_that_excludes_nothing_has_neither_ends_nor_a_probability(tmp_path: Path) -> None:
    film, prediction = film_and_prediction(12.0)
    path = write(study_film(film.image.read().astype(np.uint16)), tmp_path)
    report = report_of(film)
    (one,) = report.uncertainty
    nothing = replace(one, pieces_percent=(), low_percent=None, high_percent=None)
    group = groups_of(read_back(objects(path, film, prediction, replace(report, uncertainty=(nothing,)))[0]))["L5/S1"]
    assert "COVERAGE" not in numbers_of(group)
    assert texts_of(group)["SLIP_LOW"] == ["not measured: no slip is excluded at this level"]


def test_a_refused_film_has_reasons_and_no_corners(tmp_path: Path) -> None:
    film, prediction = film_and_prediction(12.0, 5.0)
    path = write(study_film(film.image.read().astype(np.uint16)), tmp_path)
    refused = replace(prediction, refusal="this does not look like a lateral lumbar film")
    sr = read_back(objects(path, film, refused)[0])
    assert set(groups_of(sr)) == {"lumbar spine", "L5/S1", "L4/L5"}


def test_a_corner_outside_the_film_and_unnamed_levels_are_texts_and_no_codes(tmp_path: Path) -> None:
    film, prediction = film_and_prediction(12.0)
    path = write(study_film(film.image.read().astype(np.uint16)), tmp_path)
    report = report_of(film)
    s1, l5 = report.corners
    moved = replace(l5, corners_px=((-0.5, 3.0), (-0.6, 3.0), *l5.corners_px[2:]))
    unnamed = replace(report, corners=(s1, moved), measurement=replace(report.measurement, levels_known=False))
    groups = groups_of(read_back(objects(path, film, prediction, unnamed)[0]))
    assert texts_of(groups["L5"])["SUP_POST"] == ["no corner: outside the film"]
    assert points_of(groups["L5"])["SUP_ANT"] == pytest.approx([-0.5, 3.0])
    assert groups["L5"].finding_sites == []
    assert groups["L5/S1"].finding_sites == []


def test_above_a_gap_no_level_and_no_vertebra_has_a_coded_site(tmp_path: Path) -> None:
    """Also where the reason at the level itself is another one."""
    film, prediction = film_and_prediction(0.0, 0.0, 0.0, 0.0)
    path = write(study_film(film.image.read().astype(np.uint16)), tmp_path)
    report = report_of(film)
    levels = list(report.measurement.levels)
    for i, reason in ((1, f"a gap, {NAMES_IN_DOUBT}"), (3, "L2 would be 2.2 times as wide as the film's other bodies")):
        levels[i] = replace(levels[i], slip=Measure(np.nan, "%", reason))
    doubted = replace(report, measurement=replace(report.measurement, levels=tuple(levels)))
    groups = groups_of(read_back(objects(path, film, prediction, doubted)[0]))
    sites = {name: bool(group.finding_sites) for name, group in groups.items() if name != "lumbar spine"}
    certain = {"L5/S1", "S1", "L5"}
    assert sites == {name: name in certain for name in sites}
    assert len(sites) == 9


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"StudyInstanceUID": None}, "has no valid StudyInstanceUID: no object can refer to it"),
        ({"SOPInstanceUID": "1.2.x", "SeriesInstanceUID": None}, "no valid SeriesInstanceUID, SOPInstanceUID"),
    ],
)
def test_a_film_to_which_nothing_can_refer_has_a_reason(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    film = study_film(np.zeros((32, 48), dtype=np.uint16), **fields)
    path = tmp_path / "a.dcm"
    path.write_bytes(file_bytes(film))
    with pytest.raises(DataError, match=reason):
        read_source(path, (32, 48))


def test_a_film_without_patient_has_an_empty_one_and_another_file_is_noticed(tmp_path: Path) -> None:
    path = write(study_film(np.zeros((32, 48), dtype=np.uint16), PatientName=None, PatientID=""), tmp_path)
    source = read_source(path, (32, 48))
    assert (source.PatientName, source.PatientID, source.PatientSex) == ("", "", "F")
    with pytest.raises(DataError, match="no longer the one that was read"):
        read_source(path, (48, 32))
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="no DICOM file: it belongs to no study"):
        read_source(picture, (32, 48))


def test_codes_fit_their_value_representations() -> None:
    own = [value for value in vars(codes).values() if isinstance(value, highdicom.sr.CodedConcept)]
    own += [*codes.GRADES, *codes.METHODS.values(), *codes.CORNER_CONFIDENCE.values()]
    assert len({code.CodeValue for code in own}) == len({code.CodeMeaning for code in own}) >= 30
    assert all(len(code.CodeValue) <= 16 and len(code.CodeMeaning) <= 64 for code in own)
    assert set(codes.CORNER_CONFIDENCE) == {*PATIENT_CORNERS, *CORNERS}


def assert_random_results_are_read_back(count: int, folder: Path) -> None:
    """Films of one to four levels, some with corners outside the film."""
    random = np.random.default_rng(21)
    for _ in range(count):
        sr, film, _, path = result(folder, *random.normal(5, 20, random.integers(1, 5)))
        assert_same(sr, report_of(film))
        path.unlink()


@pytest.mark.slow
def test_random_results_are_read_back(tmp_path: Path) -> None:
    assert_random_results_are_read_back(10, tmp_path)


@pytest.mark.slow
def test_a_thousand_random_results_are_read_back(tmp_path: Path) -> None:
    assert_random_results_are_read_back(1000, tmp_path)


def test_without_highdicom_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_installed()
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(ConfigError, match=r"dicom_to needs highdicom: pip install 'spondylo_ml\[dicom\]'"):
        require_installed()
