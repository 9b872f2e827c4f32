"""The run log of training: a small protocol, and an implementation that writes to a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

METRICS_FILE = "metrics.jsonl"
LAST, BEST = "last.ckpt", "best.ckpt"
"""Checkpoints of a training run, in the same folder."""

ColourImage = NDArray[np.uint8]
"""(H, W, 3) RGB."""


class RunLog(Protocol):
    """Receives the metrics and images of a training run. No call raises if the store fails."""

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """Log the metrics of one epoch; epochs count from 1."""

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """Log an image of one epoch."""

    def restore(self, history: list[dict[str, Any]]) -> None:
        """Log epochs from before a resume, except those that the store already has."""


class FolderRunLog:
    """Writes to a folder: `metrics.jsonl`, one epoch per line, and `images/`. Needs neither a server nor MLflow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """See `RunLog`."""
        with (self._folder / METRICS_FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"epoch": epoch, **values}) + "\n")

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """See `RunLog`."""
        path = self._folder / "images" / f"{key.replace('/', '-')}-{epoch:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def restore(self, history: list[dict[str, Any]]) -> None:
        """See `RunLog`."""
        path = self._folder / METRICS_FILE
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        whole = [line for line in lines if _is_json(line)]
        if whole != lines:  # the machine went down while a line was written
            path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")
        logged = {json.loads(line)["epoch"] for line in whole}
        for row in history:
            if row["epoch"] not in logged:
                self.metrics({name: value for name, value in row.items() if name != "epoch"}, row["epoch"])


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
