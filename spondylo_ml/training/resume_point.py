"""From which checkpoints a stopped training run resumes: the whole ones nearest to its end, and to its best epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spondylo_ml.errors import DataError
from spondylo_ml.training.callbacks import EpochReport
from spondylo_ml.training.checkpoint_files import BEST, is_whole, previous_of, whole_checkpoint

MONITOR = "val/mre_px512"
"""The validation error by which an epoch is the best, in px of an image of 512 px."""


@dataclass(frozen=True)
class ResumePoint:
    """The whole checkpoints from which a run resumes.

    Attributes:
        last: the last one, or the one before it.
        epoch: its epoch, from 0.
        best: with the weights of the best epoch, or of the nearest to it that there are.
        best_epoch: its epoch, from 0.
        history: metrics of the epochs up to `last`.
    """

    last: Path
    epoch: int
    best: Path
    best_epoch: int
    history: Sequence[Mapping[str, Any]]

    @property
    def lost_best(self) -> Mapping[str, Any] | None:
        """Metrics of the best epoch, if its weights are lost and `best` has those of a worse one."""
        return lost_best(self.history, self.best_epoch + 1)

    @property
    def best_error(self) -> float | None:
        """The validation error of the weights in `best`, in px512; None for checkpoints without a history."""
        return next((float(row[MONITOR]) for row in self.history if row["epoch"] == self.best_epoch + 1), None)


def find_resume_point(checkpoint: Path) -> ResumePoint:
    """Find the whole checkpoints of a stopped run; changes nothing.

    Args:
        checkpoint: the last one. Beside it are the best one and those before both.

    Raises:
        DataError: there is no whole last checkpoint, or none of a best epoch up to it.
        OSError: a checkpoint cannot be read.
    """
    last = whole_checkpoint(checkpoint)
    if last is None:
        raise DataError(f"{checkpoint} is damaged, and there is no whole checkpoint before it: start a new run")
    content = _read(last)
    history = content.get("callbacks", {}).get(EpochReport.__qualname__, {}).get("history", [])
    best, best_epoch = _nearest_to_best(checkpoint, int(content["epoch"]), history)
    return ResumePoint(last, int(content["epoch"]), best, best_epoch, history)


def best_row(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The metrics of the best epoch: the first with the lowest validation error, in the precision of the callbacks."""
    return min(history, key=lambda row: np.float32(row[MONITOR]))


def lost_best(history: Sequence[Mapping[str, Any]], kept_epoch: int) -> Mapping[str, Any] | None:
    """The metrics of the best epoch, if the weights that are kept are of another one; epochs count from 1."""
    if not history or (best := best_row(history))["epoch"] == kept_epoch:
        return None
    return best


def _nearest_to_best(checkpoint: Path, epoch: int, history: Sequence[Mapping[str, Any]]) -> tuple[Path, int]:
    """The checkpoint of the best epoch, of whatever name, or else the newest of the best ones; and its epoch."""
    recorded = int(best_row(history)["epoch"]) - 1 if history else None
    best = checkpoint.with_name(BEST)
    usable = [(file, at) for file, at in _whole((best, previous_of(best))) if at <= epoch]
    others = _whole((checkpoint, previous_of(checkpoint)))
    same = next((item for items in (usable, others) for item in items if item[1] == recorded), None)
    if same is None and not usable:
        raise DataError(f"{best}, with the weights of the best epoch, is missing or damaged: start a new run")
    return same or usable[0]


def _whole(files: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    for file in files:
        if is_whole(file):
            yield file, int(_read(file)["epoch"])


def _read(checkpoint: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return content
