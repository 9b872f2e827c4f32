"""The run log of training: a small protocol, and an implementation that writes to a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.training.checkpoint_files import replace_file

METRICS_FILE = "metrics.jsonl"
ColourImage = NDArray[np.uint8]
"""(H, W, 3) RGB."""


class RunLog(Protocol):
    """Receives the metrics and images of a training run. No call raises if the store fails."""

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of one epoch; epochs count from 1."""

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """Log an image of one epoch."""

    def restore(self, history: list[dict[str, Any]]) -> None:
        """Log epochs from before a resume, except those that the store already has.

        Args:
            history: the epochs up to the checkpoint from which training goes on; empty for a new run.
        """


class FolderRunLog:
    """Writes to a folder: `metrics.jsonl`, one epoch per line, and `images/`. Needs neither a server nor MLflow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """See `RunLog`."""
        with (self._folder / METRICS_FILE).open("a", encoding="utf-8") as stream:
            stream.write(_line({"epoch": epoch, **values}) + "\n")

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """See `RunLog`."""
        path = self._folder / "images" / f"{key.replace('/', '-')}-{epoch:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def restore(self, history: list[dict[str, Any]]) -> None:
        """See `RunLog`.

        Epochs after the history are removed, since they are trained and logged again; so is a line that was cut off
        when the machine went down.
        """
        if not history:
            return
        path = self._folder / METRICS_FILE
        before = path.read_bytes() if path.is_file() else b""
        logged = {_epoch_of(line): line for line in before.decode("utf-8", errors="replace").splitlines()}
        lines = [logged.get(row["epoch"], _line(row)) for row in history]
        after = "".join(f"{line}\n" for line in lines).encode()
        if after != before:
            replace_file(path, after)


class NoRunLog:
    """Logs nothing, for a process of a training run that another one logs."""

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """See `RunLog`."""

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """See `RunLog`."""

    def restore(self, history: list[dict[str, Any]]) -> None:
        """See `RunLog`."""


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps({"epoch": row["epoch"], **row})


def _epoch_of(line: str) -> int | None:
    """The epoch of a line of `metrics.jsonl`; None if the line is not whole."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, TypeError, KeyError):
        return None
