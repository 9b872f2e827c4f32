"""Writes the checkpoints of a training run, and brings those of a stopped one into a state from which it resumes."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch.callbacks import ModelCheckpoint

from spondylo_ml.training.checkpoint_files import (
    BEST,
    damaged_of,
    is_whole,
    previous_of,
    remove_partial,
    replace_by_previous,
    replace_file,
)
from spondylo_ml.training.resume_point import MONITOR, ResumePoint, find_resume_point

log = logging.getLogger(__name__)


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints by `write_checkpoint`; Lightning writes to the temporary folder, and copies from there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
        """See `TorchCheckpointIO`."""
        write_checkpoint(checkpoint, Path(path))


class MovableCheckpoint(ModelCheckpoint):
    """Keeps its state when the folder was moved, or the run resumes in another one.

    Lightning then forgets which epoch was best, and a worse one would replace it.

    Attributes:
        kept_error: validation error of the weights in the checkpoint, if that is not the error in the state: the
            checkpoint of the best epoch was lost, and an epoch that is better than these weights shall replace them.
    """

    kept_error: float | None = None

    @property
    def state_key(self) -> str:
        """The key of Lightning's own class, which is that in checkpoints of before."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, with paths in the folder of now."""
        moved = dict(state_dict)
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            moved[name] = self._here(moved[name]) if moved.get(name) else ""
        moved["best_k_models"] = {self._here(path): score for path, score in moved.get("best_k_models", {}).items()}
        if self.kept_error is not None:
            error = torch.tensor(self.kept_error)
            moved |= {"best_model_score": error, "kth_value": error, "best_k_models": {moved["best_model_path"]: error}}
        super().load_state_dict(moved | {"dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name)


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path, keep_previous: bool = True) -> None:
    """Replace a checkpoint, see `replace_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    replace_file(path, buffer.getbuffer(), keep_previous)


def prepare_to_resume(checkpoint: Path, folder: Path) -> ResumePoint:
    """Bring the checkpoints of a stopped run into a state from which it resumes.

    A damaged checkpoint is moved aside, and the one before it takes its place. So it does for a best one of an epoch
    whose last one was not written: that epoch is trained again. What was left of unfinished files is removed.

    Args:
        checkpoint: the last checkpoint.
        folder: where training goes on; the best checkpoint is copied to it if it is another one.

    Raises:
        DataError: there is no whole last checkpoint, or none of a best epoch up to it.
        OSError: a checkpoint cannot be read; all are left as they are.
    """
    source, best = checkpoint.parent, checkpoint.with_name(BEST)
    point = find_resume_point(checkpoint)
    remove_partial(source)
    if point.best != best:
        _replace_best(best, point)
    if point.last != checkpoint:
        wrong = replace_by_previous(checkpoint)
        log.warning("%s: the run resumes from the checkpoint before it, of epoch %d", wrong, point.epoch + 1)
    if (lost := point.lost_best) is not None:
        log.warning("the weights of epoch %d, the best with %s %.4g, are lost", lost["epoch"], MONITOR, lost[MONITOR])
    if folder != source:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / BEST, best.read_bytes())
    return point


def _replace_best(best: Path, point: ResumePoint) -> None:
    """Put the checkpoint that was found for the best epoch in the place of the best one, which is damaged or too new.

    A last one is copied: it is still needed.
    """
    if best.exists() and not is_whole(best):
        best.replace(damaged_of(best))
        wrong = f"{best} is damaged (now {damaged_of(best).name})"
    else:
        wrong = f"{best} is missing or of another epoch"
    if point.best == previous_of(best):
        point.best.replace(best)
    else:
        replace_file(best, point.best.read_bytes())
    log.warning("%s: the weights of epoch %d are taken from %s", wrong, point.best_epoch + 1, point.best.name)
