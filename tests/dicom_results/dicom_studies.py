"""DICOM films of known studies, and results on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from builders import prediction_of
from pydicom import Dataset
from reports import film_with, report_of

from spondylo_ml.dicom_results.content import Algorithm
from spondylo_ml.dicom_results.film_objects import objects_of
from spondylo_ml.dicom_results.source import read_source
from spondylo_ml.film_report.report import FilmReport
from spondylo_ml.landmarks import Film, FilmPrediction, SlotRange

ALGORITHM = Algorithm("unet, version 3", "c0ffee" + "0" * 58)
SLOTS = SlotRange(0, 5)


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
