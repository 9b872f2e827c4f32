"""DICOM films of known studies, and results on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from builders import prediction_of
from dicoms import PLANTED, dataset, file_bytes, with_identifiers
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid
from reports import film_with, report_of

from spondylo_ml.dicom_results.content import Algorithm
from spondylo_ml.dicom_results.film_objects import objects_of
from spondylo_ml.dicom_results.source import read_source
from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange

ALGORITHM = Algorithm("unet, version 3", "c0ffee" + "0" * 58)
SLOTS = SlotRange(0, 5)
PATIENT = {
    "PatientName": "Müller^Änne",
    "PatientID": "PID-1",
    "PatientBirthDate": "19501231",
    "PatientSex": "F",
    "StudyDate": "20200131",
    "StudyTime": "101500",
    "ReferringPhysicianName": "Weiß^A",
    "StudyID": "S1",
    "AccessionNumber": "ACC1",
}


def study_film(pixels: NDArray[Any], planted: bool = False, **fields: Any) -> Dataset:
    """A DICOM film of a patient; with `planted`, all other elements hold identifiers."""
    film = dataset(pixels)
    if planted:
        film = with_identifiers(film)
        assert film.InstitutionName == PLANTED["LO"]
    film.SpecificCharacterSet = "ISO_IR 100"
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(film, name, generate_uid())
    for name, value in (PATIENT | {"PatientOrientation": ["A", "F"], "BurnedInAnnotation": "NO"} | fields).items():
        if value is not None:
            setattr(film, name, value)
        elif name in film:
            delattr(film, name)
    return film


def write(film: Dataset, folder: Path) -> Path:
    path = folder / f"{film.SOPInstanceUID}.dcm"
    path.write_bytes(file_bytes(film))
    return path


def film_and_prediction(*slips: float) -> tuple[Film, FilmPrediction]:
    film = film_with(*slips)
    prediction = replace(prediction_of(film, SLOTS), corners_xy=SLOTS.corners(film.vertebrae or ()))
    prediction.corner_score[...] = np.linspace(0.5, 0.9, prediction.corner_score.size).reshape(SLOTS.count, 4)
    return film, prediction


def objects(
    path: Path, film: Film, prediction: FilmPrediction, report: FilmReport | None = None
) -> tuple[Dataset, Dataset]:
    """The Structured Report and the Secondary Capture of the film in the file."""
    source = read_source(path, film.size_hw)
    return objects_of(report or report_of(film), film, prediction, source, ALGORITHM)
