"""Names that people give to the parts of a dataset."""

from __future__ import annotations

import re
from pathlib import Path

from spondylo_ml.data.names import is_hidden

_PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
ALLOWED = "train, val (or valid, validation), test"


def part_named(name: str) -> str | None:
    """The part that a folder or a word means, in any case; None for another word."""
    return _PARTS.get(name.strip().casefold())


def part_within(name: str) -> str | None:
    """The part that the name of a file holds as a word, such as person_keypoints_valid2017; None where none does."""
    return next((part for word in re.split(r"[^a-z]+", name.casefold()) if (part := _PARTS.get(word))), None)


def folders_in(folder: Path) -> list[Path]:
    """Folders directly in `folder`, sorted by name; no hidden ones."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p))
