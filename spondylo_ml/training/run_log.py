"""Where a training reports to: a small protocol, and implementations that write to a folder or only remember."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

METRICS_FILE, TAGS_FILE = "metrics.jsonl", "tags.json"
LAST, BEST = "last.ckpt", "best.ckpt"
"""A training's checkpoints, in the same folder."""

ColourImage = NDArray[np.uint8]
"""(H, W, 3) RGB."""


class RunLog(Protocol):
    """Receives what a training has to say. No call raises because of the store behind it."""

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """Numbers of one epoch; epochs count from 1."""

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """A picture of one epoch."""

    def tag(self, name: str, value: str) -> None:
        """A fact on the run."""

    def restore(self, history: list[dict[str, Any]]) -> None:
        """Epochs of an earlier part of this training; those that the store already has are not sent again."""


class FolderRunLog:
    """Keeps everything in a folder: `metrics.jsonl`, one epoch a line; `images/`; `tags.json`.

    With it a training needs no tracking server, nor MLflow.
    """

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

    def tag(self, name: str, value: str) -> None:
        """See `RunLog`."""
        path = self._folder / TAGS_FILE
        tags = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps(tags | {name: value}, indent=1), encoding="utf-8")

    def restore(self, history: list[dict[str, Any]]) -> None:
        """See `RunLog`."""
        path = self._folder / METRICS_FILE
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        known = {json.loads(line)["epoch"] for line in lines}
        for row in history:
            if row["epoch"] not in known:
                self.metrics({name: value for name, value in row.items() if name != "epoch"}, row["epoch"])


class MemoryRunLog:
    """Keeps everything in memory."""

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self.images: dict[tuple[str, int], ColourImage] = {}
        self.tags: dict[str, str] = {}

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """See `RunLog`."""
        self.history.append({"epoch": epoch, **values})

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """See `RunLog`."""
        self.images[key, epoch] = image

    def tag(self, name: str, value: str) -> None:
        """See `RunLog`."""
        self.tags[name] = value

    def restore(self, history: list[dict[str, Any]]) -> None:
        """See `RunLog`."""
        known = {row["epoch"] for row in self.history}
        self.history += [row for row in history if row["epoch"] not in known]
