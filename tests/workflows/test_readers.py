"""`readers`: datasets of several readers in different layouts, their agreement, their consensus, and a model."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from commands import unknown_metrics
from mlflow.tracking import MlflowClient
from simulated_readers import drawn, reader_of

from spondylo_ml.cli.summaries.readers import readers_summary
from spondylo_ml.config import DataConfig, ReadersConfig
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.loading import read_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.errors import DataError
from spondylo_ml.workflows.readers import compare_readers

LAYOUTS = ("coco", "cvat", "labelme")
NOISE_PX = 1.0
PERSON = "jane-roe"
FILES = {
    "index.html", "agreement.csv", "levels.csv", "corners.csv", "disagreements.csv", "film_errors.csv", "consensus.csv",
    "open_levels.csv", "films.csv", "environment.txt", "pictures", "model.csv", "model_differences.csv", "roc.csv",
    "listhesis_points.csv",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three readers of five films in three layouts; the third has four of them."""
    root = tmp_path_factory.mktemp("readers")
    films = drawn(phantom_films(5, 12, 160).films)
    places = [root / f"{PERSON}-{layout}" for layout in LAYOUTS]
    for seed, (layout, place) in enumerate(zip(LAYOUTS, places, strict=True)):
        read = reader_of(films, NOISE_PX, seed)[: 4 if seed == 2 else 5]
        write_dataset(FilmSet("made", "made", tuple(read), SLOTS), layout, place)
    return places


def test_readers_their_consensus_and_a_model_are_compared_in_a_run(
    client: MlflowClient, folders: list[Path], model: Path, tmp_path: Path
) -> None:
    config = ReadersConfig(
        data=tuple(map(str, folders)), model=str(model), to=tmp_path / "consensus", layout="yolo", pictures=2,
        resamples=100,
    )  # fmt: skip
    result = compare_readers(config)
    run = client.get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert (run.info.run_name, run.data.tags["command"]) == ("3 readers of 4 films", "readers")
    assert client.get_experiment(run.info.experiment_id).name == "spondylo-landmarks-tools"
    assert unknown_metrics(tmp_path) == []
    expected_px512 = NOISE_PX * math.sqrt(math.pi) * 512 / 160
    assert run.data.metrics["readers/all/mre_px512"] == pytest.approx(expected_px512, rel=0.15)
    assert run.data.metrics["readers/A-B/mre_px512"] == pytest.approx(expected_px512, rel=0.2)
    assert run.data.metrics["readers/model-consensus/mre_px512"] > 3 * expected_px512, "random weights"
    assert len(run.inputs.dataset_inputs) == 3
    assert run.data.tags["films_not_labelled_by_all"] == "1"
    files = Path(client.download_artifacts(result.run_id, ""))
    assert {path.name for path in files.iterdir()} == FILES
    assert len(list((files / "pictures").iterdir())) == 2
    films = pd.read_csv(files / "films.csv")
    assert films["compared"].tolist() == [True] * 4 + [False]
    assert films.iloc[-1]["reader_C"] == "no such film"
    differences = pd.read_csv(files / "model_differences.csv")
    assert set(differences["reader"]) == {"A", "B", "C", "all"}
    html = (files / "index.html").read_text(encoding="utf-8")
    assert "1 of 5 films were not labelled by all readers: they are in no number here" in html
    few = "Too few patients to compare the model with another reader: "
    assert few in html
    assert "not a medical device" in html
    for path in files.rglob("*"):
        assert path.is_dir() or PERSON.encode() not in path.read_bytes(), f"a folder's name is in {path.name}"
    assert PERSON not in f"{run.data.params} {run.data.tags} {run.inputs}"
    text = readers_summary(result)
    assert f"reader A: {folders[0]}" in text
    assert re.search(r"A-B +\d\.\d\d \[", text)
    assert few in text
    written = read_films(DataConfig(path=tmp_path / "consensus"))
    assert len(written) == 4
    assert sum(len(film.vertebrae or ()) for film in written) * 4 == len(pd.read_csv(files / "consensus.csv"))


@pytest.mark.slow
def test_two_readers_without_a_model_need_no_folder_to_write(
    client: MlflowClient, folders: list[Path], tmp_path: Path
) -> None:
    result = compare_readers(ReadersConfig(data=tuple(map(str, folders[:2])), pictures=0, resamples=100))
    assert (len(result.study.films), result.model, result.written) == (5, None, None)
    assert "readers/model-A/mre_px512" not in client.get_run(result.run_id).data.metrics
    assert "model" not in {item.path.partition(".")[0] for item in client.list_artifacts(result.run_id)}
    assert "consensus labels written" not in readers_summary(result)


def test_bad_files_stop_the_command_unless_they_are_skipped(
    client: MlflowClient, folders: list[Path], tmp_path: Path
) -> None:
    films = drawn(phantom_films(2, 12, 160).films)
    damaged = tmp_path / "damaged"
    write_dataset(FilmSet("made", "made", tuple(films), SLOTS), "labelme", damaged)
    next(damaged.rglob(f"{films[1].film_id}.json")).write_text("{", encoding="utf-8")
    config = ReadersConfig(data=(str(folders[0]), str(damaged)), resamples=100, pictures=0)
    with pytest.raises(DataError, match=r"1 bad file\(s\)"):
        compare_readers(config)
    assert len(compare_readers(config.model_copy(update={"on_bad_file": "skip"})).study.films) == 1
