"""Find the names of the classes of YOLO labels.

They are read from the YAML files of the folder (data.yaml, data.yml, dataset.yaml and any other that has `names`),
classes.txt and obj.names there and beside the labels, Label Studio's notes.json, and YAML files in the parent folder
that list this folder as a split, as Roboflow's do. All these files must agree.
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
        names: by class; empty if no file states them.
        slots: by class; None if the classes are not levels.
        places: index of each corner of `CORNERS` among the points of a line.
        values_a_point: 3 with visibility, 2 without.
        named_in: the files that this was read from.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    slots: Mapping[int, int | None] = field(default_factory=dict)
    places: tuple[int, ...] = tuple(range(len(CORNERS)))
    values_a_point: int = 3
    named_in: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Source:
    """The contents of one file; None for settings that it does not have."""

    file: Path
    names: Mapping[int, str] | None = None
    places: tuple[int, ...] | None = None
    values_a_point: int | None = None


def read_classes(root: Path, labels: Sequence[Path]) -> Classes:
    """Read the classes of the dataset in `root`.

    Args:
        labels: the folders of its label files.

    Raises:
        FileError: a file is invalid, or two files contradict each other.
    """
    sources = list(_sources(root, labels))
    names: dict[int, str] = {}
    for source in sources:
        for number, name in (source.names or {}).items():
            if names.setdefault(number, name).casefold() != name.casefold():
                reason = f"class {number} has another name in another file: keep one"
                raise FileError(source.file.name, reason, f": {name}")
    slots = {number: slot_of_level(name) for number, name in names.items()}
    if len({slot is None for slot in slots.values()}) > 1:
        file = next(source.file.name for source in sources if source.names)
        raise FileError(file, "names must be levels (S1, L5, ..., T1), all of them or none")
    places = _single_value(sources, "places", "kpt_names")
    values = _single_value(sources, "values_a_point", "kpt_shape")
    return Classes(names, slots, places or Classes.places, values or 3, tuple(source.file for source in sources))


def require_levels(classes: Classes, used: Collection[int], root: Path) -> None:
    """Check that the classes are levels, or that there is only one class; levels are never guessed.

    Args:
        used: classes in the label files.

    Raises:
        DataError: neither is the case. The message lists the files that may name the classes.
    """
    if not classes.names and any(number > 0 for number in used):
        folder, above = root.resolve(), root.resolve().parent
        raise DataError(
            f"the labels in {folder} have classes up to {max(used)}, and no file names them. Looked for names in "
            f"{', '.join(KNOWN)} and other YAML files with names, {', '.join(LISTS)} (there and beside the labels), "
            f"{NOTES}, and in YAML files of {above} that list this folder. "
            "Name the classes after levels, such as names: [S1, L5, L4], or give all vertebrae the class 0"
        )
    names = sorted({classes.names[number] for number in used if number in classes.names})
    if len(names) > 1 and None in classes.slots.values():
        raise DataError(
            f"the labels in {root.resolve()} have several classes that are not levels ({', '.join(names)}), from "
            "which no vertebra's level follows. Name the classes after levels (S1, L5, ..., T1), or give all "
            "vertebrae one class"
        )


def _sources(root: Path, labels: Sequence[Path]) -> Iterator[_Source]:
    for path in files_in(root, (".yaml", ".yml")):
        if (tree := _yaml(path, strict=path.name in KNOWN)) is not None:
            yield _parse_yaml(path, tree)
    for folder in dict.fromkeys((root, root / "labels", *labels)):
        for path in (folder / name for name in LISTS):
            if path.is_file():
                yield _Source(path, _names_in_lines(path))
    if (root / NOTES).is_file():
        yield _Source(root / NOTES, _label_studio_categories(root / NOTES))
    for path in files_in(root.resolve().parent, (".yaml", ".yml")):
        tree = _yaml(path)
        if tree is not None and _lists_folder(tree, path, root.resolve()):
            yield _parse_yaml(path, tree)


def _yaml(path: Path, strict: bool = False) -> dict[str, Any] | None:
    """Read a YAML file with classes; None for any other YAML file, which is an error if `strict`."""
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
    """Whether a split listed in a YAML file lies in `folder`.

    Its paths are relative to the file, to its `path`, or, as Roboflow writes them, to a folder beside it.
    """
    base = tree.get("path")
    for part in (*PARTS, "valid"):
        entries = tree.get(part)
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, str):
                continue
            inner = PurePosixPath(*[step for step in PurePosixPath(entry).parts if step not in ("..", ".")])
            starts = [path.parent, *([path.parent / base] if isinstance(base, str) else [])]
            candidates = [start / entry for start in starts] + [path.parent / inner]
            if any(candidate.resolve().is_relative_to(folder) for candidate in candidates):
                return True
    return False


def _parse_yaml(path: Path, tree: Mapping[str, Any]) -> _Source:
    names = _names(tree.get("names"), path.name)
    count = tree.get("nc")
    if count is not None and names is not None and count != len(names):
        raise FileError(path.name, "nc is not the number of names", f": {str(count)[:20]} and {len(names)}")
    return _Source(path, names, _places(tree.get("kpt_names"), path.name), _values(tree.get("kpt_shape"), path.name))


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
    if isinstance(names, dict):  # one list per class, which must all be equal
        lists = list(names.values())
        names = lists[0] if lists and all(item == lists[0] for item in lists) else None
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


def _names_in_lines(path: Path) -> dict[int, str]:
    """Read a file with one name per line."""
    lines = decode_text(path.read_bytes(), path.name).rstrip().splitlines()
    if not lines or not all(line.strip() for line in lines):
        raise FileError(path.name, "must have one name per line, and no empty lines between")
    return {number: line.strip() for number, line in enumerate(lines)}


def _label_studio_categories(path: Path) -> dict[int, str] | None:
    """The categories in Label Studio's notes; None if the file is something else."""
    tree = read_json(path)
    entries = tree.get("categories") if isinstance(tree, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and type(e.get("id")) is int for e in entries):
        return None
    return {entry["id"]: str(entry.get("name")).strip() for entry in entries}


def _single_value(sources: Sequence[_Source], attribute: str, name: str) -> Any:
    """The value of an attribute that all sources agree on; None if none has it."""
    values = {getattr(source, attribute) for source in sources} - {None}
    if len(values) > 1:
        raise FileError(sources[0].file.name, f"{name} is another one in another file: keep one")
    return next(iter(values), None)
