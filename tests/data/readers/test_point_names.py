"""What names of points and vertebrae mean, with and without a mapping."""

from __future__ import annotations

from pathlib import Path

import pytest

from spondylo_ml.data.readers.tools.mapping import read_mapping
from spondylo_ml.data.readers.tools.point_names import Meaning, PointNames
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS, LEVELS, PATIENT_CORNERS


def meaning(*words: str, names: PointNames | None = None) -> tuple[int | None, str | None] | None:
    found = (names or PointNames()).meaning(words)
    return (found.slot, found.corner) if found else None


@pytest.mark.parametrize(
    ("name", "slot", "corner"),
    [
        ("L4_sup_ant", 2, "superior_anterior"),
        ("l4 tl", 2, "superior_left"),
        ("L4-TR", 2, "superior_right"),
        ("L4BL", 2, "inferior_left"),
        ("ant.sup. L5", 1, "superior_anterior"),
        ("S1 superior left corner", 0, "superior_left"),
        ("upper_posterior_T12", 6, "superior_posterior"),
        ("IP-L1", 5, "inferior_posterior"),
        ("left bottom", None, "inferior_left"),
        ("T1", 17, None),
        ("t10", 8, None),
        ("Vertebra L3", 3, None),
        ("vertebral body", None, None),
    ],
)
def test_names_that_are_understood(name: str, slot: int | None, corner: str | None) -> None:
    assert meaning(name) == (slot, corner)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("corner", [*CORNERS, *PATIENT_CORNERS])
def test_the_names_that_writers_use_are_understood(level: str, corner: str) -> None:
    assert meaning(f"{level}_{corner}") == (LEVELS.index(level), corner)
    assert meaning(level, corner) == (LEVELS.index(level), corner)


@pytest.mark.parametrize(
    "name", ["L4-1", "1", "ruler", "L6", "L4 L5", "sacrum", "LL", "UL", "L4 left", "top", "L44", "T13", "L4 sup sup"]
)
def test_names_that_could_mean_several_things_are_not_understood(name: str) -> None:
    assert meaning(name) is None


def test_words_that_contradict_each_other_are_not_understood() -> None:
    assert meaning("L4", "L5") is None
    assert meaning("L4", "L4_tl") == (2, "superior_left")


def write(root: Path, text: str) -> PointNames:
    (root / "mapping.yaml").write_text(text, encoding="utf-8")
    return read_mapping(root).names


def test_a_mapping_says_what_other_names_mean(tmp_path: Path) -> None:
    names = write(
        tmp_path,
        "levels: {Sacrum: S1}\ncorners: {1: superior_left, oben-rechts: superior_right, x: any}\n"
        "names: {A3: L4 superior_left, A: L5}\nignore: [Ruler]\n",
    )
    assert meaning("L4-1", names=names) == (2, "superior_left")
    assert meaning("sacrum_oben_rechts", names=names) == (0, "superior_right")
    assert meaning("L2 X", names=names) == (4, None)
    assert meaning("a3", names=names) == (2, "superior_left")
    assert meaning("a", names=names) == (1, None)
    assert names.ignores(["RULER"])
    assert not names.ignores(["L4"])
    assert names.meaning(["L4_sup_ant"]) == Meaning(2, "superior_anterior")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("level: {a: L5}", "unknown key 'level'.*levels"),
        ("levels: {a: L6}", "a level must be S1, L5 ... L1, T12 ... T1, found 'L6'"),
        ("corners: {a: upper}", "a corner must be superior_left, .*inferior_posterior or any, found 'upper'"),
        ("names: {a: tl}", "a name must mean a level, or a level and a corner, found 'tl'"),
        ("levels: {A b: L5, a-b: L4}", "levels has a name twice"),
        ("ignore: ruler", "ignore must be a list of names"),
        ("mm_per_px: 0", "mm_per_px must be a number above 0"),
        ("- a", "must have the keys levels"),
    ],
)
def test_an_invalid_mapping_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        write(tmp_path, text)
