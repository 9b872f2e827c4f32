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

from spondylo_ml.errors import DataError
from spondylo_ml.training.checkpoint_files import (
    BEST,
    is_whole,
    previous_of,
    remove_partial,
    replace_by_previous,
    replace_file,
    whole_checkpoint,
)

log = logging.getLogger(__name__)


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints by `write_checkpoint`; Lightning writes to the temporary folder, and copies from there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
        """See `TorchCheckpointIO`."""
        write_checkpoint(checkpoint, Path(path))


class MovableCheckpoint(ModelCheckpoint):
    """Keeps its state when the folder was moved, or the run resumes in another one.

    Lightning then forgets which epoch was best, and a worse one would replace it.
    """

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
        super().load_state_dict(moved | {"dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(self.dirpath or "") / Path(path).name)


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path, keep_previous: bool = True) -> None:
    """Replace a checkpoint, see `replace_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    replace_file(path, buffer.getbuffer(), keep_previous)


def prepare_to_resume(checkpoint: Path, folder: Path) -> int:
    """Bring the checkpoints of a stopped run into a state from which it resumes; the last one's epoch, from 0.

    A damaged checkpoint is moved aside, and the one before it takes its place. So it does for a best one of an epoch
    whose last one was not written: that epoch is trained again. What was left of unfinished files is removed.

    Args:
        checkpoint: the last checkpoint.
        folder: where training goes on; the best checkpoint is copied to it if it is another one.

    Raises:
        DataError: there is no whole last checkpoint, or none of the best epoch up to it.
        OSError: a checkpoint cannot be read; all are left as they are.
    """
    source, best = checkpoint.parent, checkpoint.parent / BEST
    remove_partial(source)
    epoch = _epoch(_restored(checkpoint))
    best_is_whole = is_whole(best)
    if is_whole(previous_of(best)) and not (best_is_whole and _epoch(best) <= epoch):
        if best_is_whole:
            previous_of(best).replace(best)
        else:
            log.warning("%s: the best epoch before it is taken", replace_by_previous(best))
    if not is_whole(best):
        raise DataError(f"{best}, with the weights of the best epoch, is missing or damaged: start a new run")
    if folder != source:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / BEST, best.read_bytes())
    return epoch


def _restored(checkpoint: Path) -> Path:
    """The checkpoint; the one before it first takes the place of a damaged one, with a message."""
    whole = whole_checkpoint(checkpoint)
    if whole is None:
        raise DataError(f"{checkpoint} is damaged, and there is no whole checkpoint before it: start a new run")
    if whole != checkpoint:
        epoch = _epoch(whole)
        log.warning(
            "%s: the run resumes from the checkpoint before it, of epoch %d", replace_by_previous(checkpoint), epoch + 1
        )
    return checkpoint


def _epoch(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["epoch"])
