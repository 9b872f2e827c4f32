"""`next` of a folder of films: which are chosen, which are set aside and why, and what is written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from builders import synthetic_film
from commands import unknown_metrics
from mlflow.tracking import MlflowClient
from small_models import bundle_with_known_corners, small_bundle

from spondylo_ml.active_learning.ranking import State
from spondylo_ml.cli.summaries.next_films import next_films_summary
from spondylo_ml.config import DataConfig, NextConfig
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.loading import read_films
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.refusal import Refusal
from spondylo_ml.serving.bundle import save_bundle
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.workflows.next_films import next_films
from spondylo_ml.workflows.next_films.scoring import FilmScorer
from spondylo_ml.workflows.next_films.table import COLUMNS

PERSON = "jane-roe"
NAMES = [f"{PERSON} {index}" for index in range(5)]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five films, a copy of the first, one that has labels already, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("unlabelled")
    for index, name in enumerate(NAMES):
        cv2.imwrite(str(folder / f"{name}.png"), synthetic_film(index).pixels)
    shutil.copy(folder / f"{NAMES[0]}.png", folder / f"{PERSON} copy.png")
    cv2.imwrite(str(folder / f"{PERSON} labelled.png"), phantom_films(1, 12, 96).films[0].image.read())
    (folder / f"{PERSON} broken.png").write_bytes(b"noise")
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled") / "coco"
    write_dataset(FilmSet("made", "made", phantom_films(3, 12, 96).films, SLOTS), "coco", folder)
    return folder


def test_films_are_chosen_or_set_aside_with_the_reason(
    client: MlflowClient, films: Path, labelled: Path, model: Path, tmp_path: Path
) -> None:
    config = NextConfig(
        films=(str(films),),
        model=str(model),
        labelled=labelled,
        count=3,
        to=tmp_path / "out",
        format="cvat",
        pictures=2,
    )
    result = next_films(config)
    run = client.get_run(result.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "next of 8 films")
    assert client.get_experiment(run.info.experiment_id).name == "spondylo-landmarks-tools"
    assert unknown_metrics(tmp_path) == []
    counts = {"films": "8", "films_chosen": "3", "films_not_chosen": "2", "films_repeated": "1", "films_labelled": "1",
              "films_not_readable": "1"}  # fmt: skip
    assert {name: run.data.tags.get(name) for name in counts} == counts
    assert len(run.inputs.dataset_inputs) == 1
    files = Path(client.download_artifacts(result.run_id, ""))
    assert {path.name for path in files.iterdir()} == {"index.html", "next.csv", "environment.txt"}
    table = pd.read_csv(files / "next.csv")
    assert tuple(table.columns) == COLUMNS
    assert table["number"].tolist()[:3] == [1, 2, 3]
    assert table["number"].isna().sum() == 5
    ranked = table[table["state"].isin(["chosen", "not chosen"])]
    assert len(ranked) == 5
    assert ranked[["mirror_px512", "nearest_labelled_sd"]].notna().all().all()
    assert ranked["grade_doubt"].isna().all(), "no slip of random corners is measurable"
    assert (ranked["nearest_labelled_sd"] > 0.1).all()
    assert table.set_index("film").loc[pseudonym(f"{PERSON} labelled"), "state"] == "labelled"
    states = {one.film.film_id: one.state for one in result.ranked}
    first, copy = sorted([pseudonym(NAMES[0]), pseudonym(f"{PERSON} copy")])
    assert states[copy] is State.REPEATED
    assert states[first] in (State.CHOSEN, State.LEFT)
    html = (files / "index.html").read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 2
    chosen = [one.film.film_id for one in result.ranked[:3]]
    drafts = read_films(DataConfig(path=tmp_path / "out" / "drafts"))
    assert sorted(film.path.stem for film in drafts.films if film.path) == sorted(chosen)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "next.csv", "drafts"}
    for path in [*files.rglob("*"), *(tmp_path / "out").rglob("*")]:
        assert path.is_dir() or PERSON.encode() not in path.read_bytes(), f"a file's name is in {path.name}"
    text = next_films_summary(result)
    assert str(films / f"{PERSON} broken.png") in text
    assert "not an image that can be read" in text
    assert "3 of 8 films to label first" in text
    assert len(result.failed) == 1


def test_the_same_films_in_another_order_are_chosen_alike(client: MlflowClient, films: Path, model: Path) -> None:
    paths = [str(films / f"{name}.png") for name in NAMES]
    first, second = (
        next_films(NextConfig(films=tuple(order), model=str(model), count=4, pictures=0))
        for order in (paths, paths[::-1])
    )
    assert [one.film.film_id for one in first.ranked] == [one.film.film_id for one in second.ranked]
    assert any("no labelled films were given" in warning for warning in first.warnings)


def test_refused_films_are_listed_and_what_a_model_lacks_is_said(
    client: MlflowClient, films: Path, tmp_path: Path
) -> None:
    refusal = Refusal(least_vertebrae=99.0, n_films=100, n_refused=1)
    save_bundle(replace(small_bundle("unet"), refusal=refusal), tmp_path / "model")
    config = NextConfig(films=(str(films / f"{NAMES[0]}.png"),), model=str(tmp_path / "model"))
    result = next_films(config)
    assert [one.state for one in result.ranked] == [State.REFUSED]
    assert "does not look like a lateral lumbar film" in next_films_summary(result)
    assert result.warnings[0].startswith("the model has no calibrated grade probabilities")
    assert "refuses 1 of the films" in result.warnings[-1]
    assert result.failed == ()


def test_scores_of_a_model_that_gives_the_labels() -> None:
    """It ignores that a film is mirrored: mirrored back, its corners are those of the mirrored film."""
    labelled = phantom_films(2, 3, 96).films
    model = FilmModel(bundle_with_known_corners([*labelled, *labelled, *labelled]), "known")
    sources = [FilmSource(film.film_id, partial(replace, film)) for film in labelled]
    for film, reading in zip(labelled, FilmScorer(model).score(sources), strict=True):
        doubt, shift = reading.score.doubt, reading.score.shift
        assert 0 <= doubt.probability < 1
        assert doubt.level
        assert 0 <= doubt.n_refer <= doubt.n_levels
        pairs = zip(film.vertebrae or (), film.mirrored_labels().vertebrae or (), strict=True)
        distances = np.concatenate([np.linalg.norm(a.corners_xy - b.corners_xy, axis=1) for a, b in pairs])
        assert shift.px512 == pytest.approx(np.nanmean(distances) * 512 / max(film.size_hw), abs=0.1)
        assert reading.score.features.shape == (0,)


def test_a_folder_without_labels_is_an_error(client: MlflowClient, films: Path, model: Path) -> None:
    config = NextConfig(films=(str(films),), model=str(model), labelled=films, on_bad_file="skip")
    with pytest.raises(DataError, match=r"no film in .* has labels: give the folder of films that are labelled"):
        next_films(config)
