"""Names that people give to the parts of a dataset."""

from __future__ import annotations

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
    """The part that a folder or a word means, in any case; None for another word."""
    return _PARTS.get(name.strip().casefold())


def find_part(name: str) -> str | None:
    """The part that the name of a file holds as a word, such as person_keypoints_valid2017; None where none does."""
    return next((part for word in re.split(r"[^a-z]+", name.casefold()) if (part := _PARTS.get(word))), None)


def folders_in(folder: Path) -> list[Path]:
    """Folders directly in `folder`, sorted by name; no hidden ones."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p))


def folders_by_part(images: Path, labels: Path) -> tuple[list[tuple[Path, Path, str]], list[FileFinding]]:
    """The folders of films and of labels within two folders, with their part; and those that are no part.

    The two of a part need not have the same name: images/valid goes with labels/val. A folder without its counterpart
    goes with one that does not exist, so that its files are listed as alone.
    """
    of_images, of_labels = ({folder.name: folder for folder in folders_in(above)} for above in (images, labels))
    places: list[tuple[Path, Path, str]] = []
    strange = []
    for name in dict.fromkeys([*of_images, *of_labels]):  # films first
        part = parse_part(name)
        if part is None:
            above = images if name in of_images else labels
            why = f"a folder of {above.name}/ that is not read: parts are named {ALLOWED}"
            strange.append(FileFinding(name, why))
        elif name in of_images:
            alike = [other for other in of_labels if parse_part(other) == part and other not in of_images]
            label = name if name in of_labels or len(alike) != 1 else alike[0]
            places.append((of_images[name], labels / label, part))
        elif all(of_labels[name] != place[1] for place in places):
            places.append((images / name, of_labels[name], part))
    return places, strange


def unread_subfolders(folder: Path, suffixes: Sequence[str] = FILM_SUFFIXES) -> list[FileFinding]:
    """Folders with such files within a folder of which only its own files are read."""
    deeper = [inner for inner in folders_in(folder) if any(p.suffix.lower() in suffixes for p in inner.rglob("*"))]
    return [FileFinding(p.name, f"a folder of {folder.name}/ that is not read: move its files up") for p in deeper]
