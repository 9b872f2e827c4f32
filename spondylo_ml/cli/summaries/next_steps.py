"""The command that usually follows, as the last lines of a summary: from drafts to a better model and back."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from spondylo_ml.data.readers.tools.mapping import MAPPING


def use_mapping(root: Path, written: Path | None, adds: bool) -> str:
    """After an audit that proposes a mapping for the labels in `root`, which has one already if `adds`."""
    place = root / MAPPING
    audit = ("audit", "--data", str(root))
    if adds:
        return _step(f"check the proposal, add it to {place}", *audit)
    if written is None:
        return _step("write this proposal to a file", *audit, "--mapping_to", str(place))
    if written.resolve() == place.resolve():
        return _step(f"check {written}, see what is understood with it", *audit)
    return _step(f"check {written}, copy it to {place}", *audit)


def correct_drafts(folder: Path, draft_format: str) -> str:
    """After drafts were written to `folder`."""
    drafts = folder / "drafts"
    what = f"correct {drafts} in {draft_format}, put the file that it exports there"
    return _step(what, "corrections", "--drafts", str(folder), "--data", str(drafts))


FEW_PATIENTS = 20
"""Below this number a larger part than usual is for testing, since `promote` needs the films of several patients."""


def train_on(data: Sequence[Path], model: str, n_patients: int) -> str:
    """After corrections of a model's drafts. A person must join several folders into one, since a run takes one."""
    path = str(data[0]) if len(data) == 1 else "<one folder with all of them>"
    test = ("--data.test_fraction", "0.25") if n_patients < FEW_PATIENTS else ()
    return _step("train on the corrected labels", "train", "--data.path", path, "--model.pretrained", model, *test)


def promote(run_id: str) -> str:
    """After a training run."""
    return _step("compare it with the champion, on the test part", "promote", "--run_ids", run_id)


def read_films(registered_model: str, default: str) -> str:
    """After a promotion."""
    model = "champion" if registered_model == default else f"models:/{registered_model}@champion"
    options = ("--films", "<films>", "--to", "<new folder>", "--dicom_to", "<another new folder>")
    return _step("read films with it, for a hospital's viewers too", "predict", "--model", model, *options)


def choose_films(model: str) -> str:
    """After films were read without drafts."""
    options = ("--films", "<unlabelled films>", "--labelled", "<labelled films>", "--to", "<new folder>")
    return _step("choose the films to label next", "next", "--model", model, *options, "--format", "cvat")


def _step(what: str, *command: str) -> str:
    """A line that a person can copy; what is in angle brackets is for them to fill in."""
    words = (word if word.startswith("<") else shlex.quote(word) for word in command)
    return f"Next, {what}: python -m spondylo_ml {' '.join(words)}"
