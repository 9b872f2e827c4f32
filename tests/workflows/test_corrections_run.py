"""`corrections`: a run of its own, the history of the model that drafted, and the tags of its registered version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import mlflow
import pandas as pd
import pytest
from commands import unknown_metrics
from drafted_films import DIGEST, MODEL_NAME, write_drafted
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.cli.summaries.corrections import corrections_summary
from spondylo_ml.config import CorrectionsConfig
from spondylo_ml.data.draft_record import read_drafts
from spondylo_ml.data.writers.base import PlacedFilm
from spondylo_ml.data.writers.coco import CocoWriter
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.intervals import Estimate
from spondylo_ml.evaluation.report import EvaluationReport
from spondylo_ml.landmarks import Film
from spondylo_ml.tracking.registry import Registry
from spondylo_ml.workflows.corrections import read_corrections

NAMES = tuple(f"film-{number:02d}" for number in range(24))
PERSON = "jane-roe"
CORNERS_OF_FILM = 14
FILES = {
    "index.html", "films.csv", "bodies.csv", "corners.csv", "numbers.csv", "levels.csv", "not_back.csv",
    "environment.txt", "pictures",
}  # fmt: skip


class _EmptyModel(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints
        return model_input


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Drafts of 24 films of as many patients; labels of 22, of which two are untouched and one of these is unsigned."""
    root = tmp_path_factory.mktemp(PERSON)
    for folder in ("drafts", "labels"):
        write_drafted(root / folder, "coco", NAMES)
    films = []
    for number, film in enumerate(read_drafts([root / "labels"]).films[:22]):
        films.append(film if number == 21 else replace(film if number == 20 else moved(film), reader=PERSON))
    placed = [PlacedFilm(film, PurePosixPath("images") / f"{film.film_id}.png") for film in films]
    CocoWriter().write_labels(placed, root / "labels")
    for name in NAMES[22:]:
        (root / "labels" / "images" / f"{name}.png").unlink()
    return root / "drafts", root / "labels"


def moved(film: Film) -> Film:
    """The film with a corner of L5 moved by 3 and 4 px."""
    s1, l5, *others = film.vertebrae or ()
    corners = l5.corners_xy.copy()
    corners[0] += (-3, 4)
    return replace(film, vertebrae=(s1, replace(l5, corners_xy=corners), *others))


def trained_model() -> Run:
    with mlflow.start_run(experiment_id="0") as active:
        mlflow.pyfunc.log_model(name="model", python_model=_EmptyModel(), pip_requirements=[])
        mlflow.set_tag("bundle_digest", DIGEST)
    return mlflow.get_run(active.info.run_id)


def promoted(run: Run) -> str:
    """Register the model with the report of a promotion; the version's number."""
    error = Estimate(value=0.1, low=0.05, high=0.15, n=700, n_patients=50)
    report = EvaluationReport(
        dataset="d", part="test", data_digest="0", n_films=50, n_labelled=50, n_patients=50, confidence=0.95,
        resamples=1000, seed=0, rules_digest="0", numbers={"instance_mre_px512": error}, tables={}, counts={},
    )  # fmt: skip
    with mlflow.start_run(experiment_id="0") as active:
        for name, text in report.files().items():
            mlflow.log_text(text, f"candidates/unet-1/report/{name}")
    tags = {"promotion_run": active.info.run_id, "model_card": "candidates/unet-1/model_card.html"}
    return str(Registry("spondylo-landmarks").add_version(run, tags).version)


def config(folders: tuple[Path, Path], **changes: object) -> CorrectionsConfig:
    drafts, labels = folders
    values = {"drafts": (str(drafts),), "data": (str(labels),), "pictures": 3, "resamples": 100, **changes}
    return CorrectionsConfig.model_validate(values)


def test_corrections_are_logged_for_the_model_and_its_version(
    client: MlflowClient, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    training_run = trained_model()
    number = promoted(training_run)
    result = read_corrections(config(folders))
    run = client.get_run(result.run_id)
    assert (run.info.status, run.info.run_name, run.data.tags["command"]) == (
        "FINISHED",
        "corrections of 22 films",
        "corrections",
    )
    counts = ("films_corrected", "films_untouched_reviewed", "films_untouched_not_reviewed", "films_not_back")
    assert [run.data.tags[name] for name in counts] == ["20", "1", "1", "2"]
    assert (run.data.tags["model_name"], run.data.tags["model_digest"]) == (MODEL_NAME, DIGEST)
    assert run.data.tags["versions"] == f"spondylo-landmarks version {number}"
    metrics = {name.removeprefix("corrections/"): value for name, value in run.data.metrics.items()}
    assert metrics["reviewed_films"] == 21
    assert metrics["films_corrected_percent"] == pytest.approx(100 * 20 / 21)
    assert metrics["moved_percent"] == pytest.approx(100 * 20 / (21 * CORNERS_OF_FILM))
    assert metrics["moved_by_px512"] == pytest.approx(5.0)
    assert metrics["move_px512"] == pytest.approx(20 * 5 / (21 * CORNERS_OF_FILM))
    assert metrics["instance_mre_px512"] == pytest.approx(metrics["move_px512"])
    assert metrics["moved_by_mm"] == pytest.approx((1.5**2 + 1.0**2) ** 0.5)
    files = Path(client.download_artifacts(result.run_id, ""))
    assert {path.name for path in files.iterdir()} == FILES
    assert len(list((files / "pictures").iterdir())) == 3
    levels = pd.read_csv(files / "levels.csv").set_index(["level", "name"])["value"]
    assert levels["L5", "moved_percent"] == pytest.approx(100 * 20 / 84)
    assert levels["L4", "moved_percent"] == 0.0
    assert pd.read_csv(files / "not_back.csv")["film_id"].tolist() == list(NAMES[22:])
    html = (files / "index.html").read_text(encoding="utf-8")
    assert "1 untouched film(s) name no person as their reader" in html
    assert "worse than at promotion" in html
    for path in files.rglob("*"):
        assert path.is_dir() or PERSON.encode() not in path.read_bytes(), f"a person's name is in {path.name}"
    assert PERSON not in f"{run.data.params} {run.data.tags} {run.inputs}"
    text = corrections_summary(result)
    assert "untouched, the labels name no person" in text
    assert f"spondylo-landmarks version {number}: worse than at promotion: instance MRE 0.34 [" in text

    version = client.get_model_version("spondylo-landmarks", number)
    assert "worse than at promotion: instance MRE 0.34 [" in version.tags["worse_in_use"]
    assert "corners moved 6.8 [" in version.tags["corrections"]
    again = read_corrections(config(folders))
    name = "corrections/moved_percent"
    history = client.get_metric_history(training_run.info.run_id, name)
    assert [(m.step, m.value) for m in history] == [(step, run.data.metrics[name]) for step in (1, 2)]
    assert client.get_run(training_run.info.run_id).info.status == "FINISHED"
    page = Path(client.download_artifacts(again.run_id, "index.html")).read_text(encoding="utf-8")
    assert page.count(f"{MODEL_NAME} ({DIGEST[:8]})") == 2, "this run and the former one"
    assert unknown_metrics(tmp_path) == []


def test_a_model_of_another_store_has_its_corrections_in_their_own_runs(
    client: MlflowClient, folders: tuple[Path, Path]
) -> None:
    result = read_corrections(config(folders, pictures=0))
    assert result.comparisons == {}
    assert "this store has no run that trained the model" in corrections_summary(result)
    assert "training_run" not in client.get_run(result.run_id).data.tags


def test_drafts_that_came_back_as_they_were_are_no_result(client: MlflowClient, folders: tuple[Path, Path]) -> None:
    drafts, _ = folders
    with pytest.raises(DataError, match=r"none of the 24 films was reviewed"):
        read_corrections(config((drafts, drafts)))
