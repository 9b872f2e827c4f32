"""From unlabelled DICOM films to a better model and back, each step with the command that the step before printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import highdicom
import mlflow
import numpy as np
import pandas as pd
import pydicom
import pytest
from commands import aliases_of, client_of, printed_command, run, runs_of
from daily_loop import PATIENT, correct_in_cvat, lumbar_films, write_studies
from mlflow.entities import Run

from spondylo_ml.config import DataConfig
from spondylo_ml.data.loading import read_films
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.landmarks import Film, FloatArray

QUICK_TRAINING = ("--training.film_passes", "48", "--training.precision", "fp32", "--tracking.system_metrics", "false")
READER = "reader-a"


def newest(folder: Path) -> Run:
    return runs_of(folder)[0]


def assert_labels_are_the_truth(folder: Path, truth: Mapping[str, Film]) -> None:
    films = read_films(DataConfig(path=folder)).films
    assert len(films) == len(truth)
    for film in films:
        assert film.path is not None
        expected = {body.slot: body.corners_xy for body in truth[film.path.stem].vertebrae or ()}
        assert film.reader == READER
        assert {body.slot for body in film.vertebrae or ()} == set(expected)
        for body in film.vertebrae or ():
            np.testing.assert_allclose(body.corners_xy, expected[body.slot], atol=0.006)


def assert_reports_answer_the_films(archive: Path, films: Path, results: Path, digest: str) -> None:
    """Each report is of its film's study, names the model, and has the film's corners within .01 px."""
    paths = {str(pydicom.dcmread(path).SOPInstanceUID): path for path in films.iterdir()}
    tree = json.loads((results / "predictions.json").read_text(encoding="utf-8"))
    predicted = {film["film"]: film for film in tree["films"]}
    reports = [highdicom.sr.srread(path) for path in (archive / "reports").iterdir()]
    assert len(reports) == len(paths) == len(list((archive / "overlays").iterdir()))
    n_corners = 0
    for report in reports:
        path = paths.pop(source_of(report))
        source, film = pydicom.dcmread(path), predicted[pseudonym(path.stem)]
        assert (report.PatientID, report.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
        assert str(report.PatientName).startswith(PATIENT)
        assert digest in str(report)
        corners = dict(zip(film["levels"], np.array(film["corners_xy_px"], np.float64), strict=True))
        for level, points in points_by_level(report):
            for point in points:
                assert np.nanmin(np.linalg.norm(corners[level] - point, axis=1)) < 0.01
            n_corners += len(points)
    assert paths == {}
    assert n_corners > 100


def source_of(report: highdicom.sr.ComprehensiveSR) -> str:
    """The UID of the film to which a report refers."""
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (image,) = series.ReferencedSOPSequence
    return str(image.ReferencedSOPInstanceUID)


def points_by_level(report: highdicom.sr.ComprehensiveSR) -> Iterator[tuple[str, list[FloatArray]]]:
    """Each vertebra with a name, and its corners in px of the film."""
    for group in report.content.get_image_measurement_groups():
        points = [
            np.array(item.GraphicData, np.float64) - 0.5
            for measurement in group.get_measurements()
            for item in measurement.referenced_coordinates
        ]
        if points and re.fullmatch(r"[LST]\d+", group.tracking_identifier):
            yield group.tracking_identifier, points


@pytest.mark.slow
def test_from_films_to_drafts_corrections_a_better_model_reports_and_the_next_films(tmp_path: Path) -> None:
    truth = write_studies(lumbar_films(12, 910), tmp_path / "films")
    later = write_studies(lumbar_films(5, 911), tmp_path / "later", first=50)
    client = client_of(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")

    output = run(tmp_path, "predict", "--films", "films", "--model", "starter", "--to", "read", "--format", "cvat")
    assert "WALKER" not in (tmp_path / "read/drafts/annotations.xml").read_text(encoding="utf-8")
    drafted = read_films(DataConfig(path=tmp_path / "read/drafts"))
    correct_in_cvat(tmp_path / "read/drafts/annotations.xml", truth, READER)
    assert_labels_are_the_truth(tmp_path / "read/drafts", truth)

    output = run(tmp_path, *printed_command(output), "--resamples", "200")
    corrected = newest(tmp_path)
    assert (corrected.data.tags["films_corrected"], corrected.data.metrics["corrections/reviewed_films"]) == ("12", 12)
    assert 0.05 < corrected.data.metrics["corrections/move_px512"] < 20
    assert len(drafted.films) == 12
    assert "--model.pretrained starter" in output

    output = run(tmp_path, *printed_command(output), *QUICK_TRAINING)
    (trained,) = [one for one in runs_of(tmp_path) if one.data.tags.get("pretrained")]
    assert trained.info.status == "FINISHED"
    assert trained.data.tags["pretrained"].startswith("model cascade_net, starter")

    output = run(tmp_path, *printed_command(output), "--resamples", "200", "--latency_films", "1", "--overlays", "1")
    assert "champion, version 1 of spondylo-landmarks" in output, output
    assert aliases_of(client) == {"champion": 1}

    places = {"films": "films", "new folder": "results", "another new folder": "for_archive"}
    output = run(tmp_path, *printed_command(output, places), "--pdf", "true")
    digest = trained.data.tags["bundle_digest"]
    assert_reports_answer_the_films(tmp_path / "for_archive", tmp_path / "films", tmp_path / "results", digest)
    assert len(list((tmp_path / "results/reports").glob("*.pdf"))) == 12

    places = {"unlabelled films": "later,films", "labelled films": "read/drafts", "new folder": "week_2"}
    output = run(tmp_path, *printed_command(output, places), "--count", "3")
    table = pd.read_csv(tmp_path / "week_2/next.csv")
    chosen = table[table["state"] == "chosen"]
    assert set(chosen["film"]) < set(later)
    assert len(chosen) == 3
    assert set(table[table["state"] == "labelled"]["film"]) == set(truth), "a film with labels is not proposed again"

    correct_in_cvat(tmp_path / "week_2/drafts/annotations.xml", later, READER)
    output = run(tmp_path, *printed_command(output), "--resamples", "200")
    assert f"--model.pretrained {trained.info.run_id}" in output
    history = client.get_metric_history(trained.info.run_id, "corrections/reviewed_films")
    assert [metric.value for metric in history] == [3.0]
    assert re.match(r".*3 ", client.get_model_version("spondylo-landmarks", "1").tags["corrections"])
