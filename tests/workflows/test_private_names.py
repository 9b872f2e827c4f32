"""No name of a film of one's own reaches a run: not in a tag, a parameter, a table, a picture's name or a message."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import pytest
from builders import damaged_within, made_film, write_rows
from commands import TINY, environment, run, start
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config import PhantomConfig
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.workflows.export import draw_phantoms

PLANTED = ("Zebulon", "Quixworth")
"""Words that stand for a patient's name, in the names of films, of labels and in tables."""


def named(index: int) -> str:
    return f"{PLANTED[0]} {PLANTED[1]} {index:02d}"


@pytest.fixture
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO folder whose films are all named after somebody; one label is bad, one film has too many vertebrae."""
    root = tmp_path_factory.mktemp("own") / "set"
    draw_phantoms(PhantomConfig(count=10, long_side_px=96, format="yolo", to=root))
    table = [["filename", "patient"]]
    for index, film in enumerate(sorted((root / "images").iterdir())):
        label = (root / "labels" / film.name).with_suffix(".txt")
        film.rename(film.with_stem(named(index)))
        label.rename(label.with_stem(named(index)))
        table.append([named(index), f"{PLANTED[1]}^{index // 2}"])
    write_rows(root / "films.csv", table)
    (root / "labels" / f"{named(3)}.txt").write_text(f"{PLANTED[0]} " * 17)
    return root


def runs_of(folder: Path) -> list[Run]:
    client = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def assert_no_name_in(folder: Path) -> None:
    """Everything that a run leaves: the store's database, the artefacts, the local copies."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert any(p.name == "mlflow.db" for p in files)
    for path in files:
        for word in PLANTED:
            assert word not in str(path.relative_to(folder))
            assert word.encode() not in path.read_bytes(), f"{word} is in {path.relative_to(folder)}"


def test_train_and_evaluate_on_films_of_ones_own_leave_no_name(labelled: Path, tmp_path: Path) -> None:
    own = ("--data", str(labelled), "--data.on_bad_file", "skip")
    output = run(tmp_path, "train", *TINY, *own, "--data.n_slots", "4")
    assert f"{named(3)}.txt ({pseudonym(named(3))}): line 1 must be finite numbers" in output, "the terminal names it"
    (trained,) = runs_of(tmp_path)
    evaluated = run(tmp_path, "evaluate", "--run_id", trained.info.run_id, "--split", "all", "--overlays", "1")
    assert PLANTED[0] in evaluated, "the terminal says which film is which overlay"
    plain = tmp_path.parent / f"{tmp_path.name}-plain"
    plain.mkdir()
    for index in range(2):
        cv2.imwrite(str(plain / f"{named(index)}.png"), made_film(index).pixels)
    run(tmp_path, "evaluate", "--run_id", trained.info.run_id, "--data", str(plain), "--split", "all")
    assert_no_name_in(tmp_path)
    remarks = next(tmp_path.rglob("remarks.txt")).read_text()
    assert f"{pseudonym(named(3))}: line 1 must be finite numbers" in remarks
    assert "has no slot (S1 to L3): missed" in remarks
    split = next(tmp_path.rglob("split.csv")).read_text()
    assert f"{pseudonym(named(0))},{pseudonym(f'{PLANTED[1]}^0')}," in split


def test_a_film_that_breaks_a_run_is_named_on_the_terminal_alone(labelled: Path, tmp_path: Path) -> None:
    for film in (labelled / "images").iterdir():
        film.write_bytes(damaged_within(film.read_bytes()))
    process = start(tmp_path, "train", *TINY, "--data", str(labelled), "--data.on_bad_file", "skip")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    (named_file,) = re.findall(rf"error: ({PLANTED[0]} .*)\.png: not an image that can be read", output)
    (failed,) = runs_of(tmp_path)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["failure"].startswith(f"FileError: {pseudonym(named_file)}: not an image that can be read")
    assert_no_name_in(tmp_path)
