"""An evaluation on films that the model was trained on says so: in a tag, in the description, on the terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import yaml
from builders import plain_film
from commands import client_of, environment
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from stores import store_in

from spondylo_ml.cli.summaries.evaluation import evaluation_summary
from spondylo_ml.config import EvaluateConfig, validate
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.workflows.evaluate import evaluate
from spondylo_ml.workflows.shared.seen_films import SeenFilms


@pytest.fixture
def trained_run(tmp_path: Path) -> Run:
    """A run trained on the patients p1 and p2, with p3 for validation."""
    client = MlflowClient(store_in(tmp_path))
    experiment = client.create_experiment("one", artifact_location=str(tmp_path / "artifacts"))
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "film,patient,part\na,p1,train\nb,p2,train\nc,p3,val\n", "data/split.csv")
    return run


def test_films_of_training_patients_count_and_those_of_validation_do_not(
    trained_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    try:
        films = [plain_film("a", patient="p1"), plain_film("other", patient="p2"), plain_film("c", patient="p3")]
        seen = SeenFilms.of("unet", trained_run, films)
        unseen = SeenFilms.of("unet", trained_run, films[2:])
        pseudonyms = [replace(film, film_id=pseudonym(film.film_id), patient=pseudonym(film.patient)) for film in films]
        renamed = SeenFilms.of("unet", trained_run, pseudonyms)
    finally:
        mlflow.set_tracking_uri(before)
    assert (seen.seen, seen.counts) == (2, "2 of 3")
    assert renamed.seen == 2, "in a layout that names films and patients by pseudonyms"
    assert seen.warning == "unet was trained on patients of 2 of these 3 films: its error is too low"
    assert (unseen.counts, unseen.warning) == ("0 of 1", "")


@pytest.mark.parametrize(
    ("split", "counts"), [('"Doe, 1","Roe, 2",train\nc,p3,val\n', "1 of 2"), ("Doe, 1,Roe,train\n", "unknown of 2")]
)
def test_names_with_commas_are_recognised(
    trained_run: Run, tmp_path: Path, split: str, counts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    MlflowClient(store_in(tmp_path)).log_text(trained_run.info.run_id, f"film,patient,part\n{split}", "data/split.csv")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    try:
        films = [plain_film("Doe, 1", patient="Roe, 2"), plain_film("c", patient="p3")]
        assert SeenFilms.of("unet", trained_run, films).counts == counts
    finally:
        mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    ("model", "tagged", "counts"),
    [
        ("{run_id}", False, "2 of 4"),
        ("champion", True, "2 of 4"),
        ("none", False, "1 of 4"),
        ("champion", False, "1 of 4"),
        ("nowhere", False, "1 of 4"),
    ],
)
def test_films_of_the_model_that_a_run_goes_on_from_are_seen_too(
    trained_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, tagged: bool, counts: str
) -> None:
    """The second run was trained on p4, after the first one on p1 and p2."""
    monkeypatch.chdir(tmp_path)
    client = MlflowClient(store_in(tmp_path))
    second = client.create_run(trained_run.info.experiment_id)
    config = yaml.safe_dump({"model": {"pretrained": model.format(run_id=trained_run.info.run_id)}})
    client.log_text(second.info.run_id, config, "config.yaml")
    if tagged:
        client.set_tag(second.info.run_id, "pretrained_run", trained_run.info.run_id)
    client.log_text(second.info.run_id, "film,patient,part\nd,p4,train\ne,p5,val\n", "data/split.csv")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    try:
        films = [
            plain_film(name, patient=patient) for name, patient in (("a", "p1"), ("c", "p3"), ("d", "p4"), ("e", "p5"))
        ]
        seen = SeenFilms.of("unet", second, films)
        others = SeenFilms.of("unet", second, films[3:])
    finally:
        mlflow.set_tracking_uri(before)
    assert seen.counts == counts
    assert others.counts == ("unknown of 1" if model in ("champion", "nowhere") and not tagged else "0 of 1")


def test_a_run_without_a_split_is_not_taken_for_one_that_has_seen_nothing() -> None:
    unknown = SeenFilms("unet", None, 4)
    assert unknown.counts == "unknown of 4"
    assert unknown.warning == "unet: not all films that it was trained on are known"


@pytest.mark.slow
def test_an_evaluation_on_other_parts_of_the_training_films_warns(
    tiny_run: tuple[Path, Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, tiny, _ = tiny_run
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(environment(folder)["MLFLOW_TRACKING_URI"])
    options = {"run_id": tiny.info.run_id, "split": "test", "overlays": 0, "resamples": 100}
    try:
        config = validate(EvaluateConfig, {**options, "data": {"phantom_films": 23, "split_seed": 5}})
        result = evaluate(config)
        output = evaluation_summary(result)
    finally:
        mlflow.set_tracking_uri(before)
    logged = client_of(folder).get_run(result.run_id)
    counts = re.fullmatch(r"(\d+) of (\d+)", logged.data.tags["films_seen_in_training"])
    assert counts is not None
    assert 0 < int(counts[1]) <= int(counts[2]) == result.n_films
    warning = f"tiny was trained on patients of {counts[1]} of these {counts[2]} films: its error is too low"
    assert logged.data.tags["mlflow.note.content"].startswith(f"🔴 **{warning}**")
    assert output.startswith(f"warning: {warning}\n")
