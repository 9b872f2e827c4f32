"""File names of custom films never reach a run: no tag, parameter, table, picture name or message holds one."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
from builders import png_with_damaged_pixels, synthetic_film, write_rows
from commands import TINY, environment, run, start
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.config import DataConfig, PhantomConfig
from spondylo_ml.data.audit.findings import AuditFinding, Severity, require_no_errors
from spondylo_ml.data.loading import load_audited_films
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import DataError
from spondylo_ml.tracking.outcome import failure_text
from spondylo_ml.workflows.phantom import draw_phantoms

PLANTED = ("Zebulon", "Quixworth")
"""Stand for a patient's name, in the file names of films and labels and in tables."""


def file_name(index: int) -> str:
    return f"{PLANTED[0]} {PLANTED[1]} {index:02d}"


@pytest.fixture
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO folder whose files all hold a name; one label is bad, one film has too many vertebrae."""
    root = tmp_path_factory.mktemp("custom") / "set"
    draw_phantoms(PhantomConfig(count=10, long_side_px=96, format="yolo", to=root))
    table = [["filename", "patient"]]
    for index, film in enumerate(sorted((root / "images").iterdir())):
        label = (root / "labels" / film.name).with_suffix(".txt")
        film.rename(film.with_stem(file_name(index)))
        label.rename(label.with_stem(file_name(index)))
        table.append([file_name(index), f"{PLANTED[1]}^{index // 2}"])
    write_rows(root / "films.csv", table)
    (root / "labels" / f"{file_name(3)}.txt").write_text(f"{PLANTED[0]} " * 17)
    return root


def runs_of(folder: Path) -> list[Run]:
    client = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def assert_no_name_in(folder: Path) -> None:
    """Search all that a run leaves: the database of the store, the artefacts, the local copies."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert any(p.name == "mlflow.db" for p in files)
    for path in files:
        for word in PLANTED:
            assert word not in str(path.relative_to(folder))
            assert word.encode() not in path.read_bytes(), f"{word} is in {path.relative_to(folder)}"


def test_train_and_evaluate_on_custom_films_log_no_name(dataset: Path, tmp_path: Path) -> None:
    options = ("--data", str(dataset), "--data.on_bad_file", "skip")
    output = run(tmp_path, "train", *TINY, *options, "--data.n_slots", "4")
    assert f"{file_name(3)}.txt ({pseudonym(file_name(3))}): line 1 must be finite numbers" in output, (
        "the terminal names it"
    )
    (training_run,) = runs_of(tmp_path)
    evaluate_output = run(
        tmp_path, "evaluate", "--run_id", training_run.info.run_id, "--split", "all", "--overlays", "1"
    )
    assert PLANTED[0] in evaluate_output, "the terminal names the film of each overlay"
    unlabelled = tmp_path.parent / f"{tmp_path.name}-plain"
    unlabelled.mkdir()
    for index in range(2):
        cv2.imwrite(str(unlabelled / f"{file_name(index)}.png"), synthetic_film(index).pixels)
    run(tmp_path, "evaluate", "--run_id", training_run.info.run_id, "--data", str(unlabelled), "--split", "all")
    assert_no_name_in(tmp_path)
    remarks = next(tmp_path.rglob("remarks.txt")).read_text()
    assert f"{pseudonym(file_name(3))}: line 1 must be finite numbers" in remarks
    assert "has no slot (S1 to L3): missed" in remarks
    split = next(tmp_path.rglob("split.csv")).read_text()
    assert f"{pseudonym(file_name(0))},{pseudonym(f'{PLANTED[1]}^0')}," in split


def test_a_film_that_fails_a_run_is_named_on_the_terminal_only(dataset: Path, tmp_path: Path) -> None:
    for film in (dataset / "images").iterdir():
        film.write_bytes(png_with_damaged_pixels(film.read_bytes()))
    process = start(tmp_path, "train", *TINY, "--data", str(dataset), "--data.on_bad_file", "skip")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    (named_file,) = re.findall(rf"error: ({PLANTED[0]} .*)\.png: not an image that can be read", output)
    (failed,) = runs_of(tmp_path)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["error"].startswith(f"FileError: {pseudonym(named_file)}: not an image that can be read")
    assert_no_name_in(tmp_path)


def test_an_audit_names_files_with_errors_on_the_terminal_only(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, store = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("store")
    for index in range(3):
        cv2.imwrite(str(folder / f"{file_name(index)}.png"), synthetic_film(index).pixels)
    (folder / f"{file_name(7)}.png").write_bytes(b"no image")
    output = run(store, "audit", "--data", str(folder))
    assert f"bad_file: {file_name(7)}.png ({pseudonym(file_name(7))}): " in output
    assert_no_name_in(store)
    (findings_file,) = store.rglob("findings.csv")
    assert f"error,bad_file,{pseudonym(file_name(7))}," in findings_file.read_text(encoding="utf-8")


def test_errors_name_file_and_pseudonym_on_the_terminal_and_the_pseudonym_in_a_run(dataset: Path) -> None:
    config = DataConfig(path=dataset)
    with pytest.raises(DataError, match=r"1 bad file\(s\) in .*") as bad_file:
        load_audited_films(config)
    assert f"  {file_name(3)}.txt ({pseudonym(file_name(3))}): line 1 must be finite numbers" in str(bad_file.value)
    assert f"  {pseudonym(file_name(3))}: line 1 must be finite numbers" in bad_file.value.in_run()
    _assert_no_name_in_run(bad_file.value)
    films, audit = load_audited_films(config.model_copy(update={"on_bad_file": "skip"}))
    error = AuditFinding(Severity.ERROR, "corner_order", (films.films[1].film_id,), "upside down")
    with pytest.raises(DataError, match="found 1 error") as audit_error:
        require_no_errors(replace(audit, findings=(error,)), "error", "the set")
    name = films.films[1].path.stem if films.films[1].path else ""
    assert f"  corner_order: {name}.png ({pseudonym(name)}): upside down" in str(audit_error.value)
    assert f"  corner_order: {pseudonym(name)}: upside down" in audit_error.value.in_run()
    _assert_no_name_in_run(audit_error.value)


def _assert_no_name_in_run(error: DataError) -> None:
    unpickled = pickle.loads(pickle.dumps(error))
    assert (str(unpickled), unpickled.in_run()) == (str(error), error.in_run()), (
        "both texts survive the way from another process"
    )
    for word in PLANTED:
        assert word in str(error)
        assert word not in error.in_run()
        assert word not in failure_text(error)
