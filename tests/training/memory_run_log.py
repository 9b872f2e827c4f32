"""A run log in memory, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spondylo_ml.training.run_log import ColourImage


class MemoryRunLog:
    """Keeps metrics and images in memory."""

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self.images: dict[tuple[str, int], ColourImage] = {}

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """See `RunLog`."""
        self.history.append({"epoch": epoch, **values})

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """See `RunLog`."""
        self.images[key, epoch] = image

    def restore(self, history: list[dict[str, Any]]) -> None:
        """See `RunLog`."""
        logged = {row["epoch"] for row in self.history}
        self.history += [row for row in history if row["epoch"] not in logged]
