"""`audit` as a user runs it, and how its errors stop a training run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from builders import IMAGES, LABELS, json_label, mendeley_folder, synthetic_film, write_label
from commands import TINY, environment, printed_command, run, start
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.cli.checks import check_audit
from spondylo_ml.config import AuditConfig, DataConfig
from spondylo_ml.data.audit.findings import LeftOut, Severity, require_no_errors
from spondylo_ml.data.loading import audit_of, load_audited_films, load_films, load_films_to_audit, read_films
from spondylo_ml.data.readers.recognition import recognition_of
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.landmarks import Film

FILES = {"findings.csv", "findings.json", "films.csv", "slips.csv"}


@pytest.fixture(scope="module")
def damaged_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Mendeley layout whose first training film is also a validation film, with a broken file."""
    root = mendeley_folder(tmp_path_factory.mktemp("films") / "lateral", train=4, val=3, long_side_px=128)
    image = sorted((root / IMAGES / "train").iterdir())[0]
    label = next((root / LABELS / "train").glob(f"{image.stem}.*"))
    shutil.copy(image, root / IMAGES / "val" / f"copy{image.suffix}")
    shutil.copy(label, root / LABELS / "val" / f"copy{label.suffix}")
    (root / IMAGES / "train" / "broken.png").write_bytes(b"not an image")
    return root


def only_run(folder: Path) -> tuple[Run, Path]:
    """The only run in the store of the folder, and the folder of its artefacts."""
    client = MlflowClient(environment(folder)["MLFLOW_TRACKING_URI"])
    (audit_run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return audit_run, Path(client.download_artifacts(audit_run.info.run_id, ""))


def test_the_audit_of_a_damaged_folder_logs_all_findings(damaged_folder: Path, tmp_path: Path) -> None:
    output = run(tmp_path, "audit", "--data", str(damaged_folder))
    assert re.search(r"layout +mendeley \(the only layout that fits\): ", output)
    assert re.search(
        r"how sure +not sure: 1 file\(s\) that cannot be used; \d film\(s\) without names of levels", output
    )
    assert re.search(r"errors +2", output)
    assert "duplicate: " in output
    assert "bad_file: broken.png" in output
    audit_run, files = only_run(tmp_path)
    assert audit_run.info.run_name == "audit lateral"
    assert audit_run.data.metrics["audit/errors"] == 2
    assert audit_run.data.metrics["audit/check/duplicate"] == 1
    assert audit_run.data.metrics["films/count"] == 9
    assert {path.name for path in (files / "audit").iterdir()} == FILES
    tree = json.loads((files / "audit" / "findings.json").read_text(encoding="utf-8"))
    assert len(tree["digest"]) == 64
    assert tree["images_checked"] is True
    table = pd.read_csv(files / "audit" / "findings.csv")
    assert len(table) == len(tree["findings"])
    assert table.loc[table["severity"] == "error", "check"].tolist() == ["bad_file", "duplicate"]
    assert len(pd.read_csv(files / "audit" / "films.csv")) == 9
    _assert_page_is_self_contained((files / "index.html").read_text(encoding="utf-8"))


def _assert_page_is_self_contained(html: str) -> None:
    assert "Audit of lateral" in html
    assert "not a medical device" in html
    assert "data:image/jpeg;base64," in html
    body = re.sub(r"<script.*?</script>", "", html, flags=re.S)  # the chart library names addresses in its own text
    assert not re.search(r"(src|href)=[\"']?https?:", body)
    assert "copy" in body


@pytest.mark.slow
def test_synthetic_films_are_audited_without_a_folder(tmp_path: Path) -> None:
    output = run(
        tmp_path, "audit", "--data.phantom_films", "20", "--data.phantom_long_side_px", "128", "--pictures", "2"
    )
    assert "No errors." in output
    audit_run, files = only_run(tmp_path)
    assert audit_run.data.metrics["audit/errors"] == 0
    assert audit_run.data.metrics["films/slips"] > 20
    html = (files / "index.html").read_text(encoding="utf-8")
    assert "Synthetic films." in html
    assert "Slip by level" in html


def test_audit_errors_stop_training_and_are_reported(damaged_folder: Path, tmp_path: Path) -> None:
    options = ("--data", str(damaged_folder), "--data.on_bad_file", "skip", "--print_config", "true")
    process = start(tmp_path, "train", *TINY, *options)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "\n  weight_decay: " in output
    assert "found 1 error(s)" in output
    assert "a network would be evaluated on films that it was trained on" in output
    assert "--data.on_audit_error continue" in output
    assert not list(tmp_path.glob("checkpoints")), "nothing was trained"


@pytest.mark.slow
def test_training_despite_audit_errors_logs_the_findings(damaged_folder: Path, tmp_path: Path) -> None:
    run(
        tmp_path,
        "train",
        *TINY,
        "--training.epochs",
        "1",
        "--data",
        str(damaged_folder),
        "--data.on_bad_file",
        "skip",
        "--data.on_audit_error",
        "continue",
    )
    audit_run, files = only_run(tmp_path)
    assert audit_run.data.tags["audit_errors"] == "1"
    assert "duplicate" in (files / "audit" / "findings.csv").read_text(encoding="utf-8")


@pytest.mark.slow
def test_training_without_a_usable_corner_fails_and_logs_no_model(tmp_path: Path) -> None:
    root = mendeley_folder(tmp_path / "lateral", train=4, val=2, test=0)
    for label in sorted((root / LABELS).rglob("*.*")):
        label.unlink()
        corners = synthetic_film(int(label.stem[-4:], 16)).corners_xy[:, [0, 2, 3, 1]]
        write_label(root, label.parent.name, f"{label.stem}.json", json_label(corners))
    process = start(tmp_path, "train", *TINY, "--data", str(root))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "found 6 error(s)" in output
    assert "they fit when superior_left, superior_right, inferior_left, inferior_right are read as" in output
    process = start(tmp_path, "train", *TINY, "--data", str(root), "--data.on_audit_error", "continue")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "no usable corner in the train part (4 labelled film(s))" in output
    client = MlflowClient(environment(tmp_path)["MLFLOW_TRACKING_URI"])
    experiments = [e.experiment_id for e in client.search_experiments()]
    (audit_run,) = client.search_runs(experiments)
    assert audit_run.info.status == "FAILED"
    assert client.search_logged_models(experiments) == []


def test_labels_of_synthetic_films_are_checked_before_training() -> None:
    films, audit = load_audited_films(DataConfig(phantom_films=30, phantom_long_side_px=128))
    assert len(films.films) == 30
    assert not audit.images_checked
    assert audit.of(Severity.ERROR) == audit.of(Severity.WARNING) == (), "they vary on purpose"
    assert audit.of(Severity.REMARK), "nothing is lost"


def test_the_same_films_have_the_same_digest_twice(damaged_folder: Path) -> None:
    config = DataConfig(path=damaged_folder, on_bad_file="skip")
    assert load_audited_films(config)[1].digest == load_audited_films(config)[1].digest


@pytest.mark.slow
def test_the_known_wrong_labels_of_the_real_ap_films_are_found_and_can_be_set_aside(real_data: Path) -> None:
    films, pixels = load_films_to_audit(DataConfig(path=real_data / "spineweb16"))
    audit = audit_of(films, pixels)
    errors = audit.of(Severity.ERROR)
    assert {finding.check for finding in errors} == {"corner_order", "overlap", "vertebra_order"}
    assert {finding.left_out for finding in errors} == {LeftOut.CORNERS, LeftOut.FILM}, "set_aside trains on the others"
    require_no_errors(audit, "set_aside", "films")
    checks = {(finding.check, film) for finding in audit.findings for film in finding.films}
    twice_labelled = {"train_0376", "train_0380", "train_0398"}
    assert {("overlap", film) for film in twice_labelled} <= checks
    assert {("body_shape", "train_0173"), ("body_shape", "train_0144"), ("overlap", "train_0144")} <= checks
    duplicates = [finding.films for finding in audit.findings if finding.check == "duplicate"]
    assert {("train_0255", "train_0393"), ("train_0253", "train_0262"), ("train_0316", "train_0448")} <= set(duplicates)


@pytest.mark.slow
def test_real_films_of_one_exposure_stay_in_one_part(real_data: Path) -> None:
    parts = {film.film_id: film.split for film in load_films(DataConfig(path=real_data / "spineweb16")).films}
    for first, second in (("train_0255", "train_0393"), ("train_0253", "train_0262"), ("train_0008", "train_0457")):
        assert parts[first] == parts[second]


def test_the_real_lateral_films_have_no_errors_and_their_slips_are_withheld(real_data: Path) -> None:
    films, pixels = load_films_to_audit(DataConfig(path=real_data / "lumbar_films"))
    audit = audit_of(films, pixels)
    assert audit.of(Severity.ERROR) == ()
    assert "not_checked" in {finding.check for finding in audit.findings}


def points_by_number(root: Path) -> Film:
    """A film with LabelMe's file, its points named L4-1 and so on, the corners in the order of `CORNERS`."""
    (film,) = phantom_films(1, 5, 200).films
    pixels = film.image.read()
    root.mkdir()
    cv2.imwrite(str(root / "one.png"), pixels)
    shapes = [
        {"label": f"{body.level}-{number}", "points": [[float(x), float(y)]], "shape_type": "point"}
        for body in film.vertebrae or ()
        for number, (x, y) in enumerate(body.corners_xy, start=1)
    ]
    size = {"imageHeight": pixels.shape[0], "imageWidth": pixels.shape[1]}
    tree = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "one.png", "imageData": None, **size}
    (root / "one.json").write_text(json.dumps(tree), encoding="utf-8")
    return film


def test_a_proposed_mapping_is_written_and_the_printed_command_reads_the_same_corners(tmp_path: Path) -> None:
    film = points_by_number(tmp_path / "named")
    mapping = tmp_path / "named" / "mapping.yaml"
    output = run(tmp_path, "audit", "--data", "named", "--mapping_to", "named/mapping.yaml")
    assert "written to named/mapping.yaml" in output
    assert printed_command(output) == ["audit", "--data", "named"]
    assert not [path for path in tmp_path.rglob("*mapping*") if path != mapping], "no run has it: it quotes labels"
    films = read_films(DataConfig(path=tmp_path / "named"))
    corners = {body.level: body.corners_xy for body in films.films[0].vertebrae or ()}
    assert corners.keys() == {body.level for body in film.vertebrae or ()}
    for body in film.vertebrae or ():
        np.testing.assert_array_equal(corners[body.level], body.corners_xy)
    found = dict(recognition_of(tmp_path / "named", "auto", films).facts)
    assert found["how sure"] == "certain: everything was understood"


def test_a_mapping_overwrites_no_file_and_needs_a_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("ignore: []")
    with pytest.raises(DataError, match=r"mine\.yaml exists: give the name of a new file"):
        check_audit(AuditConfig(data=DataConfig(path=tmp_path), mapping_to=tmp_path / "mine.yaml"))
    with pytest.raises(ConfigError, match="mapping_to needs a folder with labels"):
        check_audit(AuditConfig(mapping_to=tmp_path / "new.yaml"))
    assert (tmp_path / "mine.yaml").read_text() == "ignore: []"
