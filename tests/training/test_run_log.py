"""The run log in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from spondylo_ml.training.run_log import FolderRunLog


def test_a_folder_keeps_metrics_and_images(tmp_path: Path) -> None:
    log = FolderRunLog(tmp_path / "run")
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    image[0, 0] = (255, 0, 0)
    log.metrics({"loss": 0.5}, 1)
    log.image(image, "panel/val", 1)
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text()) == {"epoch": 1, "loss": 0.5}
    stored = cv2.imread(str(tmp_path / "run" / "images" / "panel-val-0001.png"))
    assert stored is not None
    assert stored[0, 0].tolist() == [0, 0, 255], "OpenCV reads blue first: the red corner is red"


def test_restoring_adds_only_missing_epochs(tmp_path: Path) -> None:
    log = FolderRunLog(tmp_path)
    log.metrics({"loss": 0.5}, 1)
    log.restore([{"epoch": 1, "loss": 9.0}, {"epoch": 2, "loss": 0.25}])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]


def test_a_line_that_a_power_cut_left_unfinished_is_logged_again(tmp_path: Path) -> None:
    log = FolderRunLog(tmp_path)
    history = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    log.restore(history)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    log.restore(history)
    assert [json.loads(line) for line in path.read_text().splitlines()] == history


def rows_in(folder: Path) -> list[object]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_cut_of_the_last_newline_alone_joins_no_lines(tmp_path: Path) -> None:
    log = FolderRunLog(tmp_path)
    history = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    log.restore(history)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    log.restore(history)
    log.metrics({"loss": 0.125}, 3)
    assert rows_in(tmp_path) == [*history, {"epoch": 3, "loss": 0.125}]


def test_an_epoch_that_is_trained_again_is_logged_once(tmp_path: Path) -> None:
    log = FolderRunLog(tmp_path)
    for epoch, loss in ((1, 0.5), (2, 0.25)):
        log.metrics({"loss": loss}, epoch)
    log.restore([{"epoch": 1, "loss": 0.5}])  # the last checkpoint was damaged
    log.metrics({"loss": 0.2}, 2)
    assert rows_in(tmp_path) == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.2}]


def test_a_new_run_removes_nothing(tmp_path: Path) -> None:
    log = FolderRunLog(tmp_path)
    log.metrics({"loss": 0.5}, 1)
    log.restore([])
    assert rows_in(tmp_path) == [{"epoch": 1, "loss": 0.5}]
