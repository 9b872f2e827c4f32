"""`predict` that was stopped goes on: no film is read twice, and the results are those of one that was not stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import pandas as pd
import pytest
from builders import synthetic_film
from commands import start

from spondylo_ml.config import PredictConfig
from spondylo_ml.data.decode import FilmDetails
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import DataError
from spondylo_ml.folders import UNFINISHED
from spondylo_ml.landmarks import Facing
from spondylo_ml.serving.film_result import FilmResult
from spondylo_ml.workflows.predict import predict
from spondylo_ml.workflows.predict.finished_films import FinishedFilms
from spondylo_ml.workflows.predict.result_folder import ResultFolder

COMMAND = {"model": "a"}
DETAILS = FilmDetails(Facing.UNKNOWN, None, None)
N_FILMS = 4


@pytest.fixture
def config(model: Path, tmp_path: Path) -> PredictConfig:
    """Four films, of which the second one cannot be read."""
    films = tmp_path / "films"
    films.mkdir()
    for index in range(N_FILMS):
        cv2.imwrite(str(films / f"film {index}.png"), synthetic_film(index).pixels)
    (films / "film 1.png").write_bytes(b"noise")
    return PredictConfig(films=(str(films),), model=str(model), to=tmp_path / "out", batch_size=1)


def stopped_after(n_films: int, config: PredictConfig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the command until it has written `n_films`, or all of them; returns the films that it read."""
    read: list[str] = []
    add = ResultFolder.add

    def counted(folder: ResultFolder, result: FilmResult) -> dict[str, object]:
        if len(read) == n_films:
            raise KeyboardInterrupt
        read.append(result.film_id)
        return add(folder, result)

    with monkeypatch.context() as patch:
        patch.setattr(ResultFolder, "add", counted)
        if n_films < N_FILMS:
            with pytest.raises(KeyboardInterrupt):
                predict(config)
        else:
            predict(config)
    return read


def assert_same_results(folder: Path, other: Path) -> None:
    """Both folders have the same files and the same results."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert names == sorted(str(path.relative_to(other)) for path in other.rglob("*"))
    assert json.loads((folder / "predictions.json").read_text()) == json.loads((other / "predictions.json").read_text())
    for name in ("films", "levels", "corners"):
        pd.testing.assert_frame_equal(pd.read_csv(folder / f"{name}.csv"), pd.read_csv(other / f"{name}.csv"))
    for picture in (folder / "overlays").iterdir():
        assert picture.read_bytes() == (other / "overlays" / picture.name).read_bytes()


def test_it_goes_on_where_it_was_stopped_and_tries_bad_films_again(
    config: PredictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = [pseudonym(f"film {index}") for index in range(N_FILMS)]
    assert stopped_after(3, config, monkeypatch) == names[:3]
    assert "has the results of 2 film(s): the same command with --resume true reads the others" in caplog.text
    assert pd.read_csv(config.to / "films.csv")["film"].tolist() == names[:3], "what was read is there at once"
    with pytest.raises(DataError, match=r"is not empty: .*; --resume true goes on with the films that are left there"):
        predict(config)
    resumed = config.model_copy(update={"resume": True})
    assert stopped_after(N_FILMS, resumed, monkeypatch) == [names[1], names[3]]
    assert not (config.to / UNFINISHED).exists()
    whole = predict(config.model_copy(update={"to": tmp_path / "whole"}))
    assert (len(whole.unread), whole.n_before) == (1, 0)
    assert_same_results(config.to, tmp_path / "whole")
    with pytest.raises(DataError, match=f"--resume needs the folder of a predict that was stopped.*{UNFINISHED}"):
        predict(resumed)


def test_changed_films_are_read_again_other_settings_and_missing_films_refused(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = Path(config.films[0]), [pseudonym(f"film {index}") for index in range(N_FILMS)]
    stopped_after(3, config, monkeypatch)
    resumed = config.model_copy(update={"resume": True})
    with pytest.raises(DataError, match=r"read with other settings \(overlays=True\): give these, or a new folder"):
        predict(resumed.model_copy(update={"overlays": False}))
    (folder / "film 2.png").rename(folder / "film 9.png")
    with pytest.raises(DataError, match=rf"1 film\(s\) with results .* the first: {names[2]}. Give the same films"):
        predict(resumed)
    cv2.imwrite(str(folder / "film 2.png"), synthetic_film(20).pixels)
    (folder / "film 9.png").unlink()
    result = predict(resumed)
    assert result.n_before == 1
    assert_same_results(config.to, predict(config.model_copy(update={"to": folder.parent / "whole"})).folder)


def test_a_film_that_can_no_longer_be_read_keeps_no_picture_and_no_report(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(config.films[0])
    stopped_after(3, config, monkeypatch)
    (folder / "film 0.png").write_bytes(b"noise")
    result = predict(config.model_copy(update={"resume": True}))
    assert (len(result.unread), result.n_before) == (2, 1)
    assert_same_results(config.to, predict(config.model_copy(update={"to": folder.parent / "whole"})).folder)


def test_films_of_one_patient_are_compared_although_one_was_read_before(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(config.films[0])
    rows = ["filename,patient,position", "film 0,one,flexion", "film 3,one,extension"]
    (folder / "films.csv").write_text("\n".join(rows), encoding="utf-8")
    stopped_after(3, config, monkeypatch)
    result = predict(config.model_copy(update={"resume": True}))
    assert (len(result.compared), result.n_before) == (1, 1)


def test_a_new_folder_may_be_resumed_and_drafts_may_not(config: PredictConfig) -> None:
    assert predict(config.model_copy(update={"resume": True})).n_before == 0
    with pytest.raises(ValueError, match="resume goes on with results alone: leave out format and dicom_to"):
        PredictConfig(films=config.films, to=config.to, resume=True, format="cvat")


def test_a_line_that_was_cut_off_costs_its_film_alone(tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(b"pixels")
    with suppress(KeyboardInterrupt), FinishedFilms(tmp_path, COMMAND) as finished:
        finished.add("one", film, DETAILS, {"film": "one"})
        finished.add("two", film, DETAILS, {"film": "two"})
        raise KeyboardInterrupt
    record = tmp_path / UNFINISHED
    record.write_bytes(record.read_bytes()[:-3])
    with suppress(KeyboardInterrupt), FinishedFilms(tmp_path, COMMAND, resume=True) as finished:
        assert finished.row_of("one", film, DETAILS) == {"film": "one"}
        assert finished.row_of("one", film, FilmDetails(Facing.LEFT, None, None)) is None
        assert finished.row_of("two", film, DETAILS) is None
        finished.add("two", film, DETAILS, {"film": "two"})
        raise KeyboardInterrupt
    with FinishedFilms(tmp_path, COMMAND, resume=True) as finished:
        assert finished.row_of("two", film, DETAILS) == {"film": "two"}
        finished.add("gone", tmp_path / "gone.png", DETAILS, {"film": "gone"})
        assert finished.row_of("gone", tmp_path / "gone.png", DETAILS) is None
    assert not record.exists()


def test_two_processes_cannot_write_to_one_folder(tmp_path: Path) -> None:
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); "
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / UNFINISHED)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(DataError, match="another process writes results to"):
            FinishedFilms(tmp_path, COMMAND, resume=True)
        holder.communicate(b"")


@pytest.mark.slow
def test_a_killed_prediction_goes_on(config: PredictConfig, tmp_path: Path) -> None:
    arguments = ("predict", "--films", config.films[0], "--model", config.model, "--batch_size", "1", "--to")
    process = start(tmp_path, *arguments, "out")
    record = tmp_path / "out" / UNFINISHED
    while process.poll() is None and not (record.is_file() and record.read_bytes().count(b"\n") >= 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "all films were read before it could be killed"
    resumed = start(tmp_path, *arguments, "out", "--resume", "true")
    output, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 3, output
    assert "4, 3 with results, " in output
    assert "of them from before" in output
    start(tmp_path, *arguments, "whole").communicate(timeout=300)
    assert_same_results(tmp_path / "out", tmp_path / "whole")
