"""Annotations of a COCO file: read vertebrae with corners and level, and skip everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spondylo_ml.data.readers.bodies import corner_places, slot_of_level
from spondylo_ml.data.readers.fields import finite_numbers, require_visibility
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS, FloatArray

Entry = Mapping[str, Any]

SUPERIOR = CORNERS[:2]
CROWD, NO_POINTS, OTHER = "of a crowd", "without a keypoint", "of a category without keypoints"


@dataclass(frozen=True)
class AnnotatedBody:
    """An annotated vertebra.

    Attributes:
        corners_xy: (4, 2) px, NaN where absent.
        visibility: (4,) as in the file; 0 where a corner is absent.
        slot: slot of the level; None if no level is named.
    """

    corners_xy: FloatArray
    visibility: FloatArray
    slot: int | None


def is_id(value: object) -> bool:
    """Whether a value can be the id of an image or a category."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def skip_reason(entry: Entry, categories: Mapping[object, Entry], file: str, where: str) -> str | None:
    """Why an annotation is skipped; None for a vertebra.

    Raises:
        FileError: `id`, `iscrowd` or `num_keypoints` has an invalid value.
    """
    if entry.get("id") is not None and not is_id(entry["id"]):
        raise FileError(file, f"{where}: its id must be a number or a word", f", found {str(entry['id'])[:20]!r}")
    crowd, count = entry.get("iscrowd", 0), entry.get("num_keypoints")
    if crowd not in (0, 1):  # some exporters write true and false
        raise FileError(file, f"{where}: iscrowd must be 0 or 1", f", found {str(crowd)[:20]!r}")
    if count is not None and (type(count) is not int or count < 0):
        raise FileError(
            file, f"{where}: num_keypoints must be a whole number from 0 up", f", found {str(count)[:20]!r}"
        )
    category = _category(entry, categories)
    if crowd:
        return CROWD
    if category is not None and not category.get("keypoints") and not entry.get("keypoints"):
        return OTHER
    # A body without corners is kept if its level is named, since it is known to be on the film.
    if count == 0 and _level(entry, file, where) is None:
        points = entry.get("keypoints")
        if isinstance(points, list) and any(value not in (0, None) for value in points[2::3]):
            raise FileError(file, f"{where}: num_keypoints is 0, but it has keypoints")
        return NO_POINTS
    return None


def read_body(entry: Entry, categories: Mapping[object, Entry], file: str, where: str) -> AnnotatedBody:
    """Read the vertebra of an annotation.

    Raises:
        FileError: a value of the wrong type or outside its range.
    """
    category = _category(entry, categories)
    names = category.get("keypoints") if category else None
    if category is None or not isinstance(names, list):
        raise FileError(file, f"{where}: its category must exist and name its keypoints")
    columns = _columns(names, file)
    keypoints = entry.get("keypoints")
    if not isinstance(keypoints, list) or len(keypoints) != 3 * len(names):
        count = len(keypoints) if isinstance(keypoints, list) else "no"
        raise FileError(file, f"{where} has {count} keypoint values, {3 * len(names)} are needed (x, y, visibility)")
    table = np.full((len(CORNERS), 3), (np.nan, np.nan, 0.0))
    table[list(columns)] = np.array(finite_numbers(keypoints, file, where)).reshape(-1, 3)
    corners, visibility = table[:, :2].copy(), table[:, 2]
    require_visibility(visibility, file, where)
    corners[visibility == 0] = np.nan
    for name, length in (("bbox", 4), ("area", 1)):
        _require_measure(entry.get(name), length, file, f"{where}: {name}")
    return AnnotatedBody(corners, visibility, _slot(entry, category, file, where))


def names_some_levels(entries: Iterable[Entry], categories: Mapping[object, Entry]) -> bool:
    """Whether some vertebrae of a film have a level and some have none. Errors are ignored until the film is read."""
    has_level = set()
    for entry in entries:
        try:
            if not skip_reason(entry, categories, "", ""):
                has_level.add(read_body(entry, categories, "", "").slot is not None)
        except FileError:
            continue
    return len(has_level) > 1


def _category(entry: Entry, categories: Mapping[object, Entry]) -> Entry | None:
    number = entry.get("category_id")
    return categories.get(number) if is_id(number) else None


def _columns(names: list[object], file: str) -> tuple[int, ...]:
    """Index in `CORNERS` of each keypoint: of all four, or of the two of a sacrum's endplate."""
    if len(names) == len(SUPERIOR):
        # Append the names of the absent corners, so that `corner_places` can match all spellings.
        places = corner_places([*names, *CORNERS[2:]], file)
    else:
        places = corner_places(names, file)
    return tuple(places.index(column) for column in range(len(names)))


def _require_measure(value: object, length: int, file: str, what: str) -> None:
    """Check an optional box or area: finite numbers, no negative size."""
    if value is None:
        return
    values = value if isinstance(value, list) else [value]
    numbers = finite_numbers(values, file, what)
    if len(numbers) != length or min(numbers[length // 2 :]) < 0:
        raise FileError(file, f"{what} must be {'x, y, width, height' if length > 1 else 'a number from 0 up'}")


def attributes_of(entry: Entry) -> Entry:
    """The attributes of an annotation; empty if they are none, or no names and values."""
    attributes = entry.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _level(entry: Entry, file: str, where: str) -> str | None:
    """The level in the attributes; None if it is absent or empty."""
    attributes = entry.get("attributes")
    if attributes is None or attributes == []:
        return None
    if not isinstance(attributes, dict):
        raise FileError(file, f"{where}: attributes must be names and values")
    level = attributes.get("level")
    return None if level is None or level == "" else str(level)


def _slot(entry: Entry, category: Entry, file: str, where: str) -> int | None:
    level, category_slot = _level(entry, file, where), slot_of_level(str(category.get("name")))
    if level is None:
        return category_slot
    slot = slot_of_level(level)
    if slot is None:
        raise FileError(file, f"{where}: level must be S1, L5 ... L1, T12 ... T1", f", found {level[:20]!r}")
    if category_slot is not None and category_slot != slot:
        raise FileError(
            file, f"{where}: its level and its category name different levels", f", {level} and {category['name']}"
        )
    return slot
