"""Names of the splits ("parts") of a dataset, and the folders named after them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from spondylo_ml.data.films import FileFinding
from spondylo_ml.data.names import FILM_SUFFIXES, is_hidden

_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
ALLOWED = "train, val (or valid, validation), test"


def parse_part(name: str) -> str | None:
    """The split meant by a folder name or a word, in any case; None for any other word."""
    return _PARTS.get(name.strip().casefold())


def find_part(name: str) -> str | None:
    """The split named by a word in a file name, such as person_keypoints_valid2017; None if there is none."""
    return next((part for word in re.split(r"[^a-z]+", name.casefold()) if (part := _PARTS.get(word))), None)


def folders_in(folder: Path) -> list[Path]:
    """Folders directly in `folder`, sorted by name, without hidden ones."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p))


def part_folders_in(folder: Path) -> list[Path]:
    """Folders directly in `folder` that are named as a split, sorted by name.

    Looks at no other file there, since a folder above a dataset may hold thousands.
    """
    if not folder.is_dir():
        return []
    return sorted(path for name in os.listdir(folder) if parse_part(name) and (path := folder / name).is_dir())


def folders_by_part(images: Path, labels: Path) -> tuple[list[tuple[Path, Path, str]], list[FileFinding]]:
    """Pair the subfolders of `images` and `labels` by split.

    The two folders of a split may have different names, such as images/valid and labels/val. A folder without a
    counterpart is paired with one that does not exist, so that its files are reported as unpaired.

    Returns:
        Folder of films, folder of labels and split for each pair; and findings on folders that are no split.
    """
    of_images, of_labels = ({folder.name: folder for folder in folders_in(above)} for above in (images, labels))
    pairs: list[tuple[Path, Path, str]] = []
    unknown = []
    for name in dict.fromkeys([*of_images, *of_labels]):  # folders of films first
        part = parse_part(name)
        if part is None:
            above = images if name in of_images else labels
            reason = f"a folder of {above.name}/ that is not read: parts are named {ALLOWED}"
            unknown.append(FileFinding(name, reason))
        elif name in of_images:
            synonyms = [other for other in of_labels if parse_part(other) == part and other not in of_images]
            label = name if name in of_labels or len(synonyms) != 1 else synonyms[0]
            pairs.append((of_images[name], labels / label, part))
        elif all(of_labels[name] != pair[1] for pair in pairs):
            pairs.append((images / name, of_labels[name], part))
    return pairs, unknown


def unread_subfolders(folder: Path, suffixes: Sequence[str] = FILM_SUFFIXES) -> list[FileFinding]:
    """Findings on subfolders that hold files with these suffixes, if only the files directly in `folder` are read."""
    unread = [inner for inner in folders_in(folder) if any(p.suffix.lower() in suffixes for p in inner.rglob("*"))]
    return [FileFinding(p.name, f"a folder of {folder.name}/ that is not read: move its files up") for p in unread]
