"""Read `mapping.yaml`, which says what the names in the annotations of a labelling tool mean.

All keys are optional:

* `levels`: a word for a level, such as `sacrum: S1`.
* `corners`: a word for a corner, such as `oben links: superior_left` or `1: superior_anterior`; `any` if the word does
  not tell which corner it is: the four corners of a vertebra are then told apart by their position.
* `names`: whole names, such as `A3: L4 superior_left`.
* `ignore`: names of shapes that are no vertebra, such as `[ruler, stent]`.
* `reader`: the person whose annotations are read, if a film has those of several.
* `mm_per_px`: for 3D Slicer, mm per px of the films as Slicer showed them; a number, or x and y.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from spondylo_ml.data.readers.bodies import slot_of_level
from spondylo_ml.data.readers.fields import finite_numbers, read_yaml
from spondylo_ml.data.readers.tools.point_names import ALL_CORNERS, ANY, Meaning, PointNames, plain
from spondylo_ml.errors import FileError, unknown_name

MAPPING = "mapping.yaml"
KEYS = ("levels", "corners", "names", "ignore", "reader", "mm_per_px")


@dataclass(frozen=True)
class Mapping:
    """The contents of `mapping.yaml`; empty if there is no such file."""

    names: PointNames = field(default_factory=PointNames)
    reader: str | None = None
    mm_per_px: tuple[float, float] | None = None


def read_mapping(root: Path) -> Mapping:
    """Read the mapping in `root`, if there is one.

    Raises:
        FileError: an unknown key, level or corner.
    """
    path = root / MAPPING
    if not path.is_file():
        return Mapping()
    tree = read_yaml(path) or {}
    if not isinstance(tree, dict):
        raise FileError(MAPPING, f"must have the keys {', '.join(KEYS)}, all optional")
    for key in tree:
        if key not in KEYS:
            raise FileError(MAPPING, unknown_name("key", str(key), KEYS))
    names = PointNames(
        names={word: _meaning(value) for word, value in _words(tree, "names").items()},
        levels={word: _slot(value) for word, value in _words(tree, "levels").items()},
        corners={word: _corner(value) for word, value in _words(tree, "corners").items()},
        ignored=_ignored(tree.get("ignore")),
    )
    reader = tree.get("reader")
    return Mapping(names, None if reader is None else str(reader).strip(), _mm_per_px(tree.get("mm_per_px")))


def _words(tree: dict[object, object], key: str) -> dict[str, str]:
    """A mapping of words in plain form to text."""
    words = tree.get(key) or {}
    if not isinstance(words, dict):
        raise FileError(MAPPING, f"{key} must be names and what they mean, one on a line")
    found = {plain(str(word)): str(value).strip() for word, value in words.items()}
    if len(found) < len(words):
        raise FileError(MAPPING, f"{key} has a name twice: upper and lower case and separators make no difference")
    return found


def _slot(value: str) -> int:
    slot = slot_of_level(value)
    if slot is None:
        raise FileError(MAPPING, "a level must be S1, L5 ... L1, T12 ... T1", f", found {value[:20]!r}")
    return slot


def _corner(value: str) -> str | None:
    if value == ANY:
        return None
    if value not in ALL_CORNERS:
        raise FileError(MAPPING, f"a corner must be {', '.join(ALL_CORNERS)} or {ANY}", f", found {value[:30]!r}")
    return value


def _meaning(value: str) -> Meaning:
    meaning = PointNames().meaning([value])
    if meaning is None or meaning.slot is None:
        raise FileError(MAPPING, "a name must mean a level, or a level and a corner", f", found {value[:30]!r}")
    return meaning


def _ignored(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, list):
        raise FileError(MAPPING, "ignore must be a list of names")
    return frozenset(plain(str(word)) for word in value)


def _mm_per_px(value: object) -> tuple[float, float] | None:
    if value is None:
        return None
    numbers = finite_numbers(value if isinstance(value, list) else [value, value], MAPPING, "mm_per_px")
    if len(numbers) != 2 or min(numbers) <= 0:
        raise FileError(MAPPING, "mm_per_px must be a number above 0, or [x, y]")
    return numbers[0], numbers[1]
