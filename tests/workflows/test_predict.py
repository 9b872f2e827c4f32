"""`predict` as a user runs it: results of good films, a list of bad ones, and no patient's name anywhere."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from builders import synthetic_film
from commands import environment, run, runs_of, start
from dicoms import PLANTED, PLANTED_WORDS, dataset, file_bytes, with_identifiers
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from spondylo_ml.data.draft_record import read_drafts
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import read_folder
from spondylo_ml.serving.bundle import bundle_digest
from spondylo_ml.serving.film_result import COLUMNS

NAMED = "Quentin Ysolde"
"""Stands for a patient's name in file names; other words are planted in the DICOM headers."""


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two images, two DICOM files full of identifiers, and two films that cannot be read."""
    folder = tmp_path / "films"
    folder.mkdir()
    for index in range(2):
        cv2.imwrite(str(folder / f"{NAMED} {index}.png"), synthetic_film(index).pixels)
        levels = synthetic_film(index + 2).pixels.astype(np.uint16) * 16
        planted = with_identifiers(dataset(levels, PixelSpacing=[0.8, 0.8]))
        (folder / f"{NAMED} {index + 2}.dcm").write_bytes(file_bytes(planted))
    (folder / f"{NAMED} 4.png").write_bytes(b"noise")
    planted = with_identifiers(dataset(levels, NumberOfFrames=3))
    (folder / f"{NAMED} 5.dcm").write_bytes(file_bytes(planted))
    return folder


def assert_no_name_in(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        for word in (*PLANTED_WORDS, *NAMED.split()):
            assert word not in str(path.relative_to(folder))
            assert word.encode() not in path.read_bytes(), f"{word} is in {path.relative_to(folder)}"


def test_good_films_have_results_bad_ones_are_listed_and_the_exit_code_is_3(
    model: Path, films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    rows = [f"{NAMED} 0,{NAMED},extension", f"{NAMED} 1,{NAMED},flexion", f"{NAMED} 4,{NAMED},neutral"]
    (films / "films.csv").write_text("\n".join(["filename,patient,position", *rows]), encoding="utf-8")
    common = ("predict", "--films", str(films), "--model", str(model))
    process = start(tmp_path, *common, "--to", "out", "--format", "cvat", "--dicom_to", "dicom", "--pdf", "true")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 3, output
    assert "6, 4 with results" in output
    assert "2 film(s) without a result:" in output
    bad = [pseudonym(f"{NAMED} {index}") for index in (4, 5)]
    assert f"{NAMED} 4.png ({bad[0]}): {NAMED} 4.png: not an image that can be read" in output
    assert "a DICOM file of 3 frames: export the frame to be read as a separate file" in output
    assert not [word for word in PLANTED_WORDS if word in output], "the terminal names files but no file contents"
    assert output.rstrip().endswith("Research software, not a medical device.")
    assert_no_name_in(out)
    _assert_dicom_objects(tmp_path / "dicom", films, output)
    good = sorted(pseudonym(f"{NAMED} {index}") for index in range(4))
    assert sorted(path.stem for path in (out / "overlays").iterdir()) == good
    assert {path.name for path in (out / "reports").iterdir()} == {
        f"{g}.{s}" for g in good for s in ("html", "json", "pdf")
    }
    _assert_the_files_agree(out, good, bad)
    first, second = (pseudonym(f"{NAMED} {index}") for index in range(2))
    assert f"Patient {pseudonym(NAMED)}: extension to flexion: " in output
    assert f"  {bad[0]} was compared with no film: no other film of this patient" in output
    assert [path.name for path in (out / "changes").iterdir()] == [f"{first}_{second}.html"]
    changes = pd.read_csv(out / "changes.csv")
    assert changes["first_film"].iloc[[0, -1]].tolist() == [first, bad[0]]
    drafts = read_folder(out / "drafts")
    assert drafts.kind == "cvat"
    assert drafts.bad_files == ()
    assert sorted(film.path.stem for film in drafts.films if film.path) == good
    assert all(0 < len(film.vertebrae or ()) <= 10 for film in drafts.films)
    recorded = read_drafts([out])
    assert (recorded.digest, recorded.tools) == (bundle_digest(model), ("cvat",))
    assert sorted(film.film_id for film in recorded.films) == good
    gallery = (out / "index.html").read_text(encoding="utf-8")
    assert gallery.count("data:image/jpeg;base64,") == 4
    assert all(f'href="reports/{name}.html"' in gallery for name in good)
    assert all(f'data-name="{name}"' in gallery for name in (*good, *bad))
    assert "2 without a result" in gallery
    assert f"<h1>{good[0]}</h1>" in (out / "reports" / f"{good[0]}.html").read_text(encoding="utf-8")


def _assert_dicom_objects(folder: Path, films: Path, output: str) -> None:
    """Both DICOM films have a report and an overlay of their patient, under no pseudonym; the images are listed."""
    assert f"{folder.name}: a report and an overlay of 2 film(s), with patients' names" in output
    assert "2 film(s) with a result, but without DICOM objects:" in output
    assert f"({pseudonym(f'{NAMED} 0')}): no DICOM file: it belongs to no study" in output
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for kind, modality in (("reports", "SR"), ("overlays", "OT")):
        instances = [pydicom.dcmread(path) for path in (folder / kind).iterdir()]
        assert [(one.Modality, str(one.PatientName)) for one in instances] == [(modality, PLANTED["PN"])] * 2
        assert {path.stem for path in (folder / kind).iterdir()} == {one.SOPInstanceUID for one in instances}
        assert b"anon-" not in b"".join(path.read_bytes() for path in (folder / kind).iterdir())


def _assert_the_files_agree(out: Path, good: list[str], bad: list[str]) -> None:
    tree = json.loads((out / "predictions.json").read_text())
    assert tree["notice"].startswith("Research use only")
    rows = {row["film"]: row for row in tree["films"]}
    assert set(rows) == {*good, *bad}
    assert all(tuple(row) == ("film", *COLUMNS) for row in rows.values())
    assert [bool(rows[name]["error"]) for name in (*good, *bad)] == [False] * 4 + [True] * 2
    film_with_spacing = rows[pseudonym(f"{NAMED} 2")]
    table, levels, corners = (pd.read_csv(out / f"{name}.csv") for name in ("films", "levels", "corners"))
    assert table.set_index("film")["error"].notna().to_dict() == {
        name: bool(row["error"]) for name, row in rows.items()
    }
    assert len(corners) == 4 * 10 * 4
    assert len(levels) == sum(len(row["slips"] or ()) for row in rows.values())
    corners_of_slot_3 = corners[(corners["film"] == film_with_spacing["film"]) & (corners["slot"] == 3)]
    np.testing.assert_allclose(corners_of_slot_3[["x_px", "y_px"]], film_with_spacing["corners_xy_px"][3])
    report = json.loads((out / "reports" / f"{film_with_spacing['film']}.json").read_text())
    assert report["film_key"] == film_with_spacing["film_key"]
    assert report["measurement"]["spacing_provenance"] == "DICOM PixelSpacing"
    assert [level["name"] for level in report["measurement"]["levels"]] == [
        slip["level"] for slip in film_with_spacing["slips"]
    ]
    assert report["corners_from"].startswith("unet, folder ")
    picture = cv2.imread(str(out / "overlays" / f"{film_with_spacing['film']}.png"))
    assert picture.shape[0] > 768
    assert (picture[..., 1] != picture[..., 2]).any(), "something is drawn in colour"


def test_file_names_are_written_on_request_only_and_readable_by_this_user_only(
    model: Path, films: Path, tmp_path: Path
) -> None:
    pattern = str(films / "*[01].png")
    common = ("predict", "--films", pattern, "--model", str(model), "--private_names", "true", "--reports", "false")
    output = run(tmp_path, *common, "--overlays", "false", "--to", "out")
    assert "2, 2 with results" in output
    names = pd.read_csv(tmp_path / "out" / "names_private.csv").set_index("film")["file"].to_dict()
    assert names == {
        pseudonym(f"{NAMED} {index}"): str((films / f"{NAMED} {index}.png").resolve()) for index in range(2)
    }
    assert stat.S_IMODE((tmp_path / "out" / "names_private.csv").stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "corners.csv",
        "films.csv",
        "index.html",
        "levels.csv",
        "names_private.csv",
        "predictions.json",
    }


def test_a_broken_link_is_a_failed_film_and_a_folder_name_may_hold_a_comma(
    model: Path, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "Roe, Jane [1]").mkdir()
    (tmp_path / "Roe, Jane [1]" / "a.png").write_bytes((films / f"{NAMED} 0.png").read_bytes())
    (tmp_path / "Roe, Jane [1]" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "Roe, Jane [1]" / "._a.png").write_bytes(b"")
    options = ("--films", "Roe, Jane [1]", "--model", str(model), "--to", "out", "--reports", "false")
    process = start(tmp_path, "predict", *options, "--overlays", "false")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 3, output
    assert "gone.png" in output
    table = pd.read_csv(tmp_path / "out" / "films.csv").set_index("film")
    assert set(table.index) == {pseudonym("a"), pseudonym("gone")}
    assert table.loc[pseudonym("gone"), "error"] == "cannot be opened (FileNotFoundError)"


def test_a_folder_that_is_not_empty_and_missing_films_are_reported(model: Path, films: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--films", str(films), "--to", str(films)), "is not empty: give a new or empty folder"),
        (("--films", "nowhere.png", "--to", "out"), "no file or folder matches nowhere.png: give files, folders"),
        (("--films", str(films), "--to", "out", "--dicom_to", "out/dicom"), "dicom_to must lie apart from to"),
    ):
        process = start(tmp_path, "predict", "--model", str(model), *arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 2
        assert message in output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_training_run_predicts_and_under_mlflow_run_only_counts_are_logged(
    tiny_run: tuple[Path, Run, str], films: Path, tmp_path: Path
) -> None:
    store, tiny, _ = tiny_run
    client = MlflowClient(environment(store)["MLFLOW_TRACKING_URI"])
    mlflow_run = client.create_run(tiny.info.experiment_id)
    film = str(films / f"{NAMED} 2.dcm")
    arguments = ("predict", "--films", film, "--model", tiny.info.run_id, "--to", str(tmp_path / "out"))
    arguments += ("--dicom_to", str(tmp_path / "dicom"))
    output = run(store, *arguments, MLFLOW_RUN_ID=mlflow_run.info.run_id)
    assert len(list((tmp_path / "dicom").rglob("*.dcm"))) == 2
    assert f"unet, run {tiny.info.run_id}" in output
    logged_run = next(item for item in runs_of(store) if item.info.run_id == mlflow_run.info.run_id)
    assert logged_run.info.status == "FINISHED"
    assert logged_run.data.tags["predicted_by"] == f"unet, run {tiny.info.run_id}"
    assert (logged_run.data.tags["films"], logged_run.data.tags["failed"]) == ("1", "0")
    assert_no_name_in(store)
    assert_no_name_in(tmp_path / "out")
