"""Dataset readers by name, and detection of a folder's layout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from spondylo_ml.config.films import LAYOUT_NAMES
from spondylo_ml.data.films import FileFinding, FilmSet
from spondylo_ml.data.names import is_hidden
from spondylo_ml.data.readers.base import Reader
from spondylo_ml.data.readers.buu import BuuReader
from spondylo_ml.data.readers.coco import CocoReader
from spondylo_ml.data.readers.film_row import FILMS_CSV, UNREAD
from spondylo_ml.data.readers.folder import FolderReader
from spondylo_ml.data.readers.mendeley import MendeleyReader
from spondylo_ml.data.readers.pairing import files_in, group_by_stem, images_in
from spondylo_ml.data.readers.parts import folders_in, parse_part
from spondylo_ml.data.readers.spineweb16 import SpineWeb16Reader
from spondylo_ml.data.readers.tools.cvat import CvatReader
from spondylo_ml.data.readers.tools.label_studio import LabelStudioReader
from spondylo_ml.data.readers.tools.labelme import LabelMeReader
from spondylo_ml.data.readers.tools.slicer import SlicerReader
from spondylo_ml.data.readers.yolo import YoloReader
from spondylo_ml.errors import DataError

_PLAIN: Reader = FolderReader()
READERS: dict[str, Reader] = {
    reader.kind: reader
    for reader in (
        MendeleyReader(),
        SpineWeb16Reader(),
        BuuReader(),
        CocoReader(),
        YoloReader(),
        LabelStudioReader(),
        CvatReader(),
        LabelMeReader(),
        SlicerReader(),
        _PLAIN,
    )
}

PARENTS, CHILDREN = 4, 2  # levels up and down that are searched for the folder that was probably meant
COCO = CocoReader.kind
LABEL_SUFFIXES = (".json", ".txt", ".csv", ".xml")


def register_reader(reader: Reader) -> None:
    """Add the reader of a dataset layout, which is then recognised, and which `data.kind` may name.

    Raises:
        ConfigError: its `kind` is taken.

    >>> import spondylo_ml
    >>> from spondylo_ml.data.readers import READERS
    >>> class TextReader:
    ...     kind, layout, marks = "text", "films beside a corners.txt", ("corners.txt",)
    ...     def recognises(self, root): return (root / "corners.txt").is_file()
    ...     def read(self, root): ...  # a FilmSet
    >>> spondylo_ml.register_reader(TextReader())
    >>> READERS["text"].layout
    'films beside a corners.txt'
    """
    LAYOUT_NAMES.register(reader.kind)
    READERS[reader.kind] = reader


def read_folder(root: Path, kind: str = "auto") -> FilmSet:
    """Read the dataset in `root`; a `films.csv` that its layout does not read is noted. Raises as `find_reader`."""
    reader = find_reader(root, kind)
    films = reader.read(root)
    return replace(films, notes=(*films.notes, *_unread_tables(films, root, reader.kind)))


def _unread_tables(films: FilmSet, root: Path, kind: str) -> list[FileFinding]:
    """A note on each `films.csv` in the folder of the dataset or beside its films that is not read."""
    folders = dict.fromkeys([root, *(film.path.parent for film in films.films if film.path)])
    unread = [folder for folder in folders if (folder / FILMS_CSV).is_file() and (folder != root or kind == COCO)]
    reason = f"{UNREAD}: it is read in the folder of the dataset alone; move it there"
    if kind == COCO:
        reason = f"{UNREAD}: in this layout patient, facing and spacing are stated for each image in the annotations"
    return [FileFinding(FILMS_CSV, reason, f" (the one in {folder})", doubt=True) for folder in unread]


def find_reader(root: Path, kind: str = "auto") -> Reader:
    """Find the reader for the layout of `root` without reading any film.

    Films without labels are read as a plain folder only if `root` is not inside a labelled dataset.

    Args:
        kind: name of a reader, or "auto" to detect the layout.

    Raises:
        DataError: the folder is missing or empty, or has no known layout. The message lists the known layouts and the
            folder that was probably meant.
    """
    layouts = "\n".join(f"  {reader.kind}: {reader.layout}" for reader in READERS.values())
    if os.path.isfile(root):
        raise DataError(f"data folder {root.resolve()} is a file, a folder is needed: the one that holds the dataset")
    if not os.path.isdir(root):
        raise DataError(f"data folder {root.resolve()} does not exist. Give one of these layouts:\n{layouts}")
    matches = _labelled_layouts(root)
    if kind == "auto" and len(matches) == 1:
        _require_not_within_another(root, matches[0])
        return matches[0]
    if kind != "auto" and READERS[kind].recognises(root):
        return READERS[kind]
    if kind == "auto" and matches:
        kinds = ", ".join(reader.kind for reader in matches)
        raise DataError(f"{root.resolve()} looks like several datasets ({kinds}): name one with --data.kind")
    if kind == "auto" and _PLAIN.recognises(root):
        _require_plain(root)
        return _PLAIN
    state = "is empty" if all(map(is_hidden, root.iterdir())) else "has no such layout"
    expected = layouts if kind == "auto" else f"  {kind}: {READERS[kind].layout}"
    raise DataError(f"data folder {root.resolve()} {state}. Looked in it for:\n{expected}{_hint(root)}")


def _labelled_layouts(root: Path) -> list[Reader]:
    return [reader for reader in READERS.values() if reader is not _PLAIN and reader.recognises(root)]


def _require_not_within_another(root: Path, reader: Reader) -> None:
    """Reject a folder inside a dataset of another layout, whose inner folders may look like a dataset themselves.

    Raises:
        DataError: the folder is part of a dataset of another layout.
    """
    whole = _dataset_above(root)
    if whole is not None and reader not in _labelled_layouts(whole):
        raise DataError(
            f"{root.resolve()} is a part of the dataset in {whole}: give that folder, or read this one as "
            f"{reader.kind}: --data.kind {reader.kind}"
        )


def _require_plain(root: Path) -> None:
    """Reject films that have labels somewhere.

    Raises:
        DataError: labels lie beside the films, or the folder is part of a labelled dataset.
    """
    anyway = "or read its films without labels: --data.kind folder"
    if (whole := _dataset_above(root)) is not None:
        raise DataError(f"{root.resolve()} is a part of the dataset in {whole}: give that folder, {anyway}")
    labels = group_by_stem(files_in(root, LABEL_SUFFIXES)).keys() & group_by_stem(images_in(root)).keys()
    if labels:
        raise DataError(
            f"{root.resolve()} holds {len(labels)} film(s) with labels beside them, which is not a known layout: "
            f"put films into images/ and labels into labels/, {anyway}"
        )


def _hint(root: Path) -> str:
    """The folder or spelling that was probably meant, as a sentence; or an empty string."""
    if (whole := _dataset_above(root)) is not None:
        return f"\nThis is a part of a dataset: did you mean {whole}?"
    for mark in dict.fromkeys(mark for reader in READERS.values() for mark in reader.marks):
        if (match := _in_other_case(root, mark)) is not None:
            return f"\nThere is {match!r}, which must be named {mark!r}: names are case-sensitive."
    return _hint_below(root)


def _hint_below(root: Path) -> str:
    """The dataset inside `root`. A single split is never suggested, since the others would be lost."""
    inner = _datasets_below(root, CHILDREN)
    names = ", ".join(folder.relative_to(root.resolve()).as_posix() for folder in inner)
    if any(parse_part(folder.name) for folder in inner):
        return f"\nIt holds {names}: a part alone is not the dataset. Arrange all of them as one of these layouts."
    if len(inner) > 1:
        return f"\nIt holds several folders that can be read: {names}. Give one of them."
    return f"\nDid you mean {inner[0]}?" if inner else ""


def _dataset_above(root: Path) -> Path | None:
    """The outermost parent folder that is a dataset."""
    parents = list(root.resolve().parents)[:PARENTS]
    return next((folder for folder in reversed(parents) if _labelled_layouts(folder)), None)


def _datasets_below(root: Path, depth: int) -> list[Path]:
    """The folders below `root` that can be read, on the first level that has any."""
    level = [root.resolve()]
    for _ in range(depth):
        level = [child for folder in level for child in folders_in(folder)]
        if readable := [folder for folder in level if _labelled_layouts(folder) or _PLAIN.recognises(folder)]:
            return readable
    return []


def _in_other_case(root: Path, mark: str) -> str | None:
    """The path that differs from `mark` only in case; None if there is none, or if `mark` itself exists."""
    folder, names = root, []
    for part in mark.split("/"):
        matches = [p for p in folder.iterdir() if p.name.casefold() == part.casefold()] if folder.is_dir() else []
        if not matches:
            return None
        folder = next((p for p in matches if p.name == part), matches[0])
        names.append(folder.name)
    path = "/".join(names)
    return path if path != mark else None
