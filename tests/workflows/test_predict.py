"""`predict`, as a user runs it: results of good films, a list of bad ones, and nobody's name anywhere."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from builders import synthetic_film
from commands import environment, run, runs_of, start
from dicoms import PLANTED_WORDS, dataset, file_bytes, with_identifiers
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from small_models import unet_bundle

from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.serving.bundle import save_bundle
from spondylo_ml.serving.film_result import COLUMNS

NAMED = "Quentin Ysolde"
"""What stands for a patient's name in the names of files; other words are planted in the headers."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real network of random weights that says that every vertebra is there."""
    folder = tmp_path_factory.mktemp("model")
    save_bundle(unet_bundle(), folder)
    return folder


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


def assert_nobody_is_named_in(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        for word in (*PLANTED_WORDS, *NAMED.split()):
            assert word not in str(path.relative_to(folder))
            assert word.encode() not in path.read_bytes(), f"{word} is in {path.relative_to(folder)}"


def test_good_films_have_results_bad_ones_a_list_and_the_exit_code_is_3(
    model: Path, films: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(tmp_path, "predict", "--films", str(films), "--model", str(model), "--to", "out")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 3, output
    assert "6, 4 with results" in output
    assert "2 film(s) without a result:" in output
    bad = [pseudonym(f"{NAMED} {index}") for index in (4, 5)]
    assert f"{NAMED} 4.png ({bad[0]}): {NAMED} 4.png: not an image that can be read" in output
    assert "a DICOM file of 3 frames: export the one that is to be read" in output
    assert not [word for word in PLANTED_WORDS if word in output], "the terminal names files, never what is in them"
    assert output.rstrip().endswith("Research software, not a medical device.")
    assert_nobody_is_named_in(out)
    good = sorted(pseudonym(f"{NAMED} {index}") for index in range(4))
    assert sorted(path.stem for path in (out / "overlays").iterdir()) == good
    assert {path.name for path in (out / "reports").iterdir()} == {f"{g}.{s}" for g in good for s in ("html", "json")}
    _assert_the_files_agree(out, good, bad)


def _assert_the_files_agree(out: Path, good: list[str], bad: list[str]) -> None:
    told = json.loads((out / "predictions.json").read_text())
    assert told["notice"].startswith("Research use only")
    rows = {row["film"]: row for row in told["films"]}
    assert set(rows) == {*good, *bad}
    assert all(tuple(row) == ("film", *COLUMNS) for row in rows.values())
    assert [bool(rows[name]["error"]) for name in (*good, *bad)] == [False] * 4 + [True] * 2
    spaced = rows[pseudonym(f"{NAMED} 2")]
    table, levels, corners = (pd.read_csv(out / f"{name}.csv") for name in ("films", "levels", "corners"))
    assert table.set_index("film")["error"].notna().to_dict() == {
        name: bool(row["error"]) for name, row in rows.items()
    }
    assert len(corners) == 4 * 10 * 4
    assert len(levels) == sum(len(row["slips"] or ()) for row in rows.values())
    one = corners[(corners["film"] == spaced["film"]) & (corners["slot"] == 3)]
    np.testing.assert_allclose(one[["x_px", "y_px"]], spaced["corners_xy_px"][3])
    report = json.loads((out / "reports" / f"{spaced['film']}.json").read_text())
    assert report["film_key"] == spaced["film_key"]
    assert report["measurement"]["spacing_provenance"] == "DICOM PixelSpacing"
    assert [level["name"] for level in report["measurement"]["levels"]] == [slip["level"] for slip in spaced["slips"]]
    assert report["corners_from"].startswith("unet, folder ")
    picture = cv2.imread(str(out / "overlays" / f"{spaced['film']}.png"))
    assert picture.shape[0] > 768
    assert (picture[..., 0] != picture[..., 2]).any(), "something is drawn in colour"


def test_names_are_written_only_when_asked_for_and_for_this_user_alone(
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
        "levels.csv",
        "names_private.csv",
        "predictions.json",
    }


def test_a_link_to_nothing_is_a_film_that_failed_and_a_folder_with_a_comma_is_one_folder(
    model: Path, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "Roe, Jane [1]").mkdir()
    (tmp_path / "Roe, Jane [1]" / "a.png").write_bytes((films / f"{NAMED} 0.png").read_bytes())
    (tmp_path / "Roe, Jane [1]" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "Roe, Jane [1]" / "._a.png").write_bytes(b"")
    given = ("--films", "Roe, Jane [1]", "--model", str(model), "--to", "out", "--reports", "false")
    process = start(tmp_path, "predict", *given, "--overlays", "false")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 3, output
    assert "gone.png" in output
    table = pd.read_csv(tmp_path / "out" / "films.csv").set_index("film")
    assert set(table.index) == {pseudonym("a"), pseudonym("gone")}
    assert table.loc[pseudonym("gone"), "error"] == "cannot be opened (FileNotFoundError)"


def test_a_target_that_is_not_free_and_films_that_are_not_there_are_reported(
    model: Path, films: Path, tmp_path: Path
) -> None:
    for arguments, message in (
        (("--films", str(films), "--to", str(films)), "is not empty: give a new or empty folder"),
        (("--films", "nowhere.png", "--to", "out"), "nothing is called nowhere.png: give files, folders"),
    ):
        process = start(tmp_path, "predict", "--model", str(model), *arguments)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 2
        assert message in output
    assert not (tmp_path / "out").exists()


def test_a_trained_run_predicts_and_under_mlflow_run_only_numbers_reach_the_run(
    trained: tuple[Path, Run, str], films: Path, tmp_path: Path
) -> None:
    store, tiny, _ = trained
    client = MlflowClient(environment(store)["MLFLOW_TRACKING_URI"])
    opened = client.create_run(tiny.info.experiment_id)
    good = str(films / f"{NAMED} 2.dcm")
    given = ("predict", "--films", good, "--model", tiny.info.run_id, "--to", str(tmp_path / "out"))
    output = run(store, *given, MLFLOW_RUN_ID=opened.info.run_id)
    assert f"unet, run {tiny.info.run_id}" in output
    made = next(found for found in runs_of(store) if found.info.run_id == opened.info.run_id)
    assert made.info.status == "FINISHED"
    assert made.data.tags["predicted_by"] == f"unet, run {tiny.info.run_id}"
    assert (made.data.tags["films"], made.data.tags["failed"]) == ("1", "0")
    assert_nobody_is_named_in(store)
    assert_nobody_is_named_in(tmp_path / "out")
