"""The overlay as a Secondary Capture: what its attributes say of the picture, and what the picture shows."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_studies import film_and_prediction, objects
from dicoms import study_film, write
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage
from reports import report_of

from spondylo_ml.dicom_results import film_objects
from spondylo_ml.dicom_results.film_objects import HEIGHT_PX, LONGEST_LINE, level_lines
from spondylo_ml.pages.colours import PREDICTION_RGB
from spondylo_ml.pages.figures.labels import Picture


def overlay(tmp_path: Path, refusal: str = "", **fields: Any) -> tuple[Dataset, Dataset]:
    """The Secondary Capture, read back, and its source."""
    film, prediction = film_and_prediction(12.0, -4.0)
    path = write(study_film(film.image.read().astype(np.uint16), **fields), tmp_path)
    _, image = objects(path, replace(film, vertebrae=None), replace(prediction, refusal=refusal), report_of(film))
    stream = BytesIO()
    image.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream), dcmread(path)


def test_it_is_a_derived_picture_of_its_source(tmp_path: Path) -> None:
    image, source = overlay(tmp_path)
    assert image.SOPClassUID == SecondaryCaptureImageStorage
    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]
    assert (image.ConversionType, image.ContentQualification) == ("WSD", "RESEARCH")
    assert "not a medical device" in image.DerivationDescription
    (reference,) = image.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert list(image.PatientOrientation) == ["A", "F"]
    assert "PixelSpacing" not in image, "a scaled picture is not measured"
    pixels = image.pixel_array
    assert pixels.shape[0] > HEIGHT_PX
    assert (pixels == PREDICTION_RGB).all(axis=-1).any()


@pytest.mark.parametrize(("stated", "expected"), [("YES", "YES"), ("NO", "NO"), (None, None)])
def test_text_burnt_into_the_film_is_also_in_its_picture(
    stated: str | None, expected: str | None, tmp_path: Path
) -> None:
    image, _ = overlay(tmp_path, BurnedInAnnotation=stated)
    assert image.get("BurnedInAnnotation") == expected


def test_lossy_compression_is_never_denied_and_an_unknown_orientation_is_empty(tmp_path: Path) -> None:
    image, _ = overlay(
        tmp_path,
        LossyImageCompression="01",
        LossyImageCompressionRatio=[10.0],
        LossyImageCompressionMethod="ISO_10918_1",
        PatientOrientation=None,
    )
    assert (image.LossyImageCompression, image.LossyImageCompressionRatio) == ("01", 10.0)
    assert not image.PatientOrientation


def test_a_refused_film_is_shown_without_corners(tmp_path: Path) -> None:
    image, _ = overlay(tmp_path, refusal="this does not look like a lateral lumbar film")
    assert not (image.pixel_array == PREDICTION_RGB).all(axis=-1).any()


def test_each_level_has_a_line_with_its_slip_or_the_reason() -> None:
    film, _ = film_and_prediction(12.0, -4.0)
    report = report_of(film)
    assert level_lines(report) == [
        "L4/L5: slip -4.0 %, no listhesis (grade 0)",
        "L5/S1: slip +12.0 % (+4.0 to +6.5 or +8.0 to +16.0), indeterminate between 0 and I, refer",
    ]
    withheld = replace(report, measurement=replace(report.measurement, withheld="no lateral film"))
    assert level_lines(withheld) == ["not measured: no lateral film"]


def test_a_slip_beside_a_limit_is_not_rounded_onto_it() -> None:
    film, _ = film_and_prediction(25.04, -4.96)
    report = replace(report_of(film), uncertainty=())
    assert level_lines(report) == [
        "L4/L5: slip -4.96 %, no listhesis (grade 0)",
        "L5/S1: slip +25.04 %, grade II anterolisthesis",
    ]


def test_a_long_line_is_wrapped_and_not_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    captions: list[str] = []

    def keep_caption(*arguments: Any) -> Picture:
        captions.extend(arguments[4])
        return np.zeros((8, 8, 3), dtype=np.uint8)

    monkeypatch.setattr(film_objects, "draw_measured_film", keep_caption)
    film, prediction = film_and_prediction(12.0)
    path = write(study_film(film.image.read().astype(np.uint16)), tmp_path)
    report = report_of(film)
    pieces = ((-12.4, -5.0), (-3.0, 5.0), (8.0, 16.0), (20.0, 30.0))
    (one,) = report.uncertainty
    objects(path, film, prediction, replace(report, uncertainty=(replace(one, pieces_percent=pieces),)))
    assert max(map(len, captions)) <= LONGEST_LINE
    text = " ".join(line.strip() for line in captions)
    assert text.endswith("+20.0 to +30.0), indeterminate between 0 and I, refer")
