"""No name of a film of one's own reaches a run: not in a tag, a parameter, a table, a picture's name or a message."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from builders import damaged_within, synthetic_film, write_rows
from commands import TINY, environment, run, start
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config import DataConfig, PhantomConfig
from spondylo_ml.data.audit.findings import AuditFinding, Severity, require_no_errors
from spondylo_ml.data.loading import load_audited_films
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import DataError
from spondylo_ml.tracking.store import failure_text
from spondylo_ml.workflows.phantom import draw_phantoms

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
        cv2.imwrite(str(plain / f"{named(index)}.png"), synthetic_film(index).pixels)
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


def test_an_audit_names_its_errors_by_file_and_pseudonym_on_the_terminal_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    plain, store = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("store")
    for index in range(3):
        cv2.imwrite(str(plain / f"{named(index)}.png"), synthetic_film(index).pixels)
    (plain / f"{named(7)}.png").write_bytes(b"no image")
    output = run(store, "audit", "--data", str(plain))
    assert f"bad_file: {named(7)}.png ({pseudonym(named(7))}): " in output
    assert_no_name_in(store)
    (findings,) = store.rglob("findings.csv")
    assert f"error,bad_file,{pseudonym(named(7))}," in findings.read_text(encoding="utf-8")


def test_a_training_that_stops_names_films_by_file_and_pseudonym_and_tells_a_run_the_pseudonym(labelled: Path) -> None:
    config = DataConfig(path=labelled)
    with pytest.raises(DataError, match=r"1 bad file\(s\) in .*") as stopped:
        load_audited_films(config)
    assert f"  {named(3)}.txt ({pseudonym(named(3))}): line 1 must be finite numbers" in str(stopped.value)
    assert f"  {pseudonym(named(3))}: line 1 must be finite numbers" in stopped.value.in_run()
    _assert_run_names_nobody(stopped.value)
    films, audit = load_audited_films(config.model_copy(update={"on_bad_file": "skip"}))
    error = AuditFinding(Severity.ERROR, "corner_order", (films.films[1].film_id,), "upside down")
    with pytest.raises(DataError, match="found 1 error") as audited:
        require_no_errors(replace(audit, findings=(error,)), "error", "the set")
    name = films.films[1].path.stem if films.films[1].path else ""
    assert f"  corner_order: {name}.png ({pseudonym(name)}): upside down" in str(audited.value)
    assert f"  corner_order: {pseudonym(name)}: upside down" in audited.value.in_run()
    _assert_run_names_nobody(audited.value)


def _assert_run_names_nobody(error: DataError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.in_run()) == (str(error), error.in_run()), "it comes through from other processes"
    for word in PLANTED:
        assert word in str(error)
        assert word not in error.in_run()
        assert word not in failure_text(error)
