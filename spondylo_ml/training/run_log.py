"""Where a training reports to: a small protocol, and an implementation that only remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
