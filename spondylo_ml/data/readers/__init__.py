"""Dataset layouts by name."""

from __future__ import annotations

from pathlib import Path

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers.base import Reader
from spondylo_ml.data.readers.mendeley import MendeleyReader
from spondylo_ml.data.readers.spineweb16 import SpineWeb16Reader
from spondylo_ml.errors import DataError

READERS: dict[str, Reader] = {reader.kind: reader for reader in (MendeleyReader(), SpineWeb16Reader())}


def read_folder(root: Path, kind: str = "auto") -> FilmSet:
    """The dataset in `root`; see `find_reader` for the errors."""
    return find_reader(root, kind).read(root)


def find_reader(root: Path, kind: str = "auto") -> Reader:
    """The reader of the layout in `root`; reads no film.

    Raises:
        DataError: the folder is missing or empty, or has no known layout; says which were looked for, and where.
    """
    looked_for = "\n".join(f"  {reader.kind}: {reader.layout}" for reader in READERS.values())
    if not root.is_dir():
        raise DataError(f"data folder {root.resolve()} does not exist. Give one of these layouts:\n{looked_for}")
    found = [reader for reader in READERS.values() if reader.recognises(root)]
    if kind == "auto" and len(found) == 1:
        return found[0]
    if kind != "auto" and READERS[kind] in found:
        return READERS[kind]
    if kind == "auto" and found:
        kinds = ", ".join(reader.kind for reader in found)
        raise DataError(f"{root.resolve()} looks like several datasets ({kinds}): name one with --data.kind")
    state = "is empty" if not any(root.iterdir()) else "has no such layout"
    wanted = looked_for if kind == "auto" else f"  {kind}: {READERS[kind].layout}"
    raise DataError(f"data folder {root.resolve()} {state}. Looked in it for:\n{wanted}")
