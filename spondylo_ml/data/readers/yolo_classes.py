"""What the classes of YOLO labels are, from whichever file says it.

Looked into are the YAML files of the folder (data.yaml, data.yml, dataset.yaml and any other that has `names`),
classes.txt and obj.names there and beside the labels, Label Studio's notes.json, and the YAML files of the folder
above where one lists this folder among its parts, as Roboflow's do. What they say must agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from spondylo_ml.data.readers.bodies import corner_places, slot_of_level
from spondylo_ml.data.readers.fields import read_json, read_yaml
from spondylo_ml.data.readers.pairing import files_in
from spondylo_ml.data.readers.text import decode_text
from spondylo_ml.data.split import PARTS
from spondylo_ml.errors import DataError, FileError
from spondylo_ml.landmarks import CORNERS

CLASSES_FILE = "data.yaml"
KNOWN = (CLASSES_FILE, "data.yml", "dataset.yaml", "dataset.yml")
LISTS = ("classes.txt", "obj.names")
NOTES = "notes.json"


@dataclass(frozen=True)
class Classes:
    """The classes of a dataset.

    Attributes:
        names: of each class; none where no file says them.
        slots: of each class, None where the classes are no levels.
        places: of each corner of `CORNERS` among the points of a line.
        values_a_point: 3 with a visibility, 2 without.
        named_in: the files that say so.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    slots: Mapping[int, int | None] = field(default_factory=dict)
    places: tuple[int, ...] = tuple(range(len(CORNERS)))
    values_a_point: int = 3
    named_in: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Said:
    """What one file says; None where it says nothing of it."""

    file: Path
    names: Mapping[int, str] | None = None
    places: tuple[int, ...] | None = None
    values_a_point: int | None = None


def read_classes(root: Path, labels: Sequence[Path]) -> Classes:
    """The classes of the dataset in `root`, whose label files lie in the folders `labels`.

    Raises:
        FileError: a file that cannot be understood, or two that contradict each other.
    """
    said = list(_sources(root, labels))
    names: dict[int, str] = {}
    for one in said:
        for number, name in (one.names or {}).items():
            if names.setdefault(number, name).casefold() != name.casefold():
                why = f"class {number} has another name in another file: keep one"
                raise FileError(one.file.name, why, f": {name}")
    slots = {number: slot_of_level(name) for number, name in names.items()}
    if len({slot is None for slot in slots.values()}) > 1:
        where = next(one.file.name for one in said if one.names)
        raise FileError(where, "names must be levels (S1, L5, ..., T1), all of them or none")
    places = _agreed(said, "places", "kpt_names")
    values = _agreed(said, "values_a_point", "kpt_shape")
    return Classes(names, slots, places or Classes.places, values or 3, tuple(one.file for one in said))


def require_levels(classes: Classes, used: Collection[int], root: Path) -> None:
    """Classes are levels, or there is one class only: else a level would be guessed.

    Raises:
        DataError: it is not so; says where names were looked for.
    """
    if not classes.names and any(number > 0 for number in used):
        folder, above = root.resolve(), root.resolve().parent
        raise DataError(
            f"the labels in {folder} hold classes up to {max(used)}, and no file says what they are. Looked for in "
            f"{', '.join(KNOWN)} and other YAML files with names, {', '.join(LISTS)} (there and beside the labels), "
            f"{NOTES}, and in YAML files of {above} that list this folder. "
            "Name the classes after levels, such as names: [S1, L5, L4], or give all vertebrae the class 0"
        )
    names = sorted({classes.names[number] for number in used if number in classes.names})
    if len(names) > 1 and None in classes.slots.values():
        raise DataError(
            f"the labels in {root.resolve()} hold several classes that are no levels ({', '.join(names)}): no "
            "vertebra's level follows from them. Name the classes after levels (S1, L5, ..., T1), or give all "
            "vertebrae one class"
        )


def _sources(root: Path, labels: Sequence[Path]) -> Iterator[_Said]:
    for path in files_in(root, (".yaml", ".yml")):
        if (tree := _yaml(path, strict=path.name in KNOWN)) is not None:
            yield _said(path, tree)
    for folder in dict.fromkeys((root, root / "labels", *labels)):
        for path in (folder / name for name in LISTS):
            if path.is_file():
                yield _Said(path, _listed(path))
    if (root / NOTES).is_file():
        yield _Said(root / NOTES, _noted(root / NOTES))
    for path in files_in(root.resolve().parent, (".yaml", ".yml")):
        tree = _yaml(path)
        if tree is not None and _lists_folder(tree, path, root.resolve()):
            yield _said(path, tree)


def _yaml(path: Path, strict: bool = False) -> dict[str, Any] | None:
    """A YAML file that speaks of classes; None for one of another purpose, which must not be under `strict`."""
    try:
        tree = read_yaml(path)
    except FileError:
        if strict:
            raise
        return None
    if isinstance(tree, dict) and (strict or {"names", "kpt_names", "kpt_shape"} & tree.keys()):
        return tree
    if strict:
        raise FileError(path.name, "must hold names and values, such as names: [S1, L5, L4]")
    return None


def _lists_folder(tree: Mapping[str, Any], path: Path, folder: Path) -> bool:
    """Whether one of the parts that a YAML file names lies in `folder`.

    Paths there are relative to the file, to its `path`, or, as Roboflow writes them, to a folder beside it.
    """
    base = tree.get("path")
    for part in (*PARTS, "valid"):
        given = tree.get(part)
        for one in given if isinstance(given, list) else [given]:
            if not isinstance(one, str):
                continue
            inner = PurePosixPath(*[step for step in PurePosixPath(one).parts if step not in ("..", ".")])
            starts = [path.parent, *([path.parent / base] if isinstance(base, str) else [])]
            places = [start / one for start in starts] + [path.parent / inner]
            if any(place.resolve().is_relative_to(folder) for place in places):
                return True
    return False


def _said(path: Path, tree: Mapping[str, Any]) -> _Said:
    names = _names(tree.get("names"), path.name)
    count = tree.get("nc")
    if count is not None and names is not None and count != len(names):
        raise FileError(path.name, "nc is not the number of names", f": {str(count)[:20]} and {len(names)}")
    return _Said(path, names, _places(tree.get("kpt_names"), path.name), _values(tree.get("kpt_shape"), path.name))


def _names(names: object, file: str) -> dict[int, str] | None:
    if names is None:
        return None
    if isinstance(names, list):
        names = dict(enumerate(names))
    numbered = isinstance(names, dict) and all(type(key) is int and key >= 0 for key in names)
    if not isinstance(names, dict) or not numbered:
        raise FileError(file, "names must be a list of classes, or a mapping from their numbers")
    if not all(isinstance(name, str | int | float) for name in names.values()):
        raise FileError(file, "each of the names must be a word")
    return {number: str(name).strip() for number, name in names.items()}


def _places(names: object, file: str) -> tuple[int, ...] | None:
    if names is None:
        return None
    if isinstance(names, dict):  # one list a class: they must agree
        lists = list(names.values())
        names = lists[0] if lists and all(one == lists[0] for one in lists) else None
    if not isinstance(names, list):
        raise FileError(file, "kpt_names must be one list of four corners, the same for every class")
    return corner_places(names, file)


def _values(shape: object, file: str) -> int | None:
    if shape is None:
        return None
    if shape not in ([len(CORNERS), 2], [len(CORNERS), 3]):
        raise FileError(file, "kpt_shape must be [4, 3] or [4, 2]: four corners, with or without visibility")
    assert isinstance(shape, list)
    return int(shape[1])


def _listed(path: Path) -> dict[int, str]:
    """A name a line."""
    lines = decode_text(path.read_bytes(), path.name).rstrip().splitlines()
    if not lines or not all(line.strip() for line in lines):
        raise FileError(path.name, "must hold one name a line, and no empty lines between")
    return {number: line.strip() for number, line in enumerate(lines)}


def _noted(path: Path) -> dict[int, str] | None:
    """The categories of Label Studio's notes; None where a file of this name is something else."""
    tree = read_json(path)
    entries = tree.get("categories") if isinstance(tree, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and type(e.get("id")) is int for e in entries):
        return None
    return {entry["id"]: str(entry.get("name")).strip() for entry in entries}


def _agreed(said: Sequence[_Said], what: str, name: str) -> Any:
    values = {getattr(one, what) for one in said} - {None}
    if len(values) > 1:
        raise FileError(said[0].file.name, f"{name} is another one in another file: keep one")
    return next(iter(values), None)
