"""Contract of all readers, on a valid folder and on every kind of damage that all of them can encounter."""

from __future__ import annotations

import math
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from reading import (
    KINDS,
    LABELLED,
    PRIVATE,
    SIZE_HW,
    Corners,
    boxes,
    corners_of,
    count_of,
    images_of,
    one_film,
    reasons,
    sound_folder,
    write_film,
)

from spondylo_ml.clinical.outlines import edge_turns, outline_fault, toward_head
from spondylo_ml.data.films import digest, require_usable
from spondylo_ml.data.image_file import UNREADABLE
from spondylo_ml.data.readers import READERS, find_reader, read_folder
from spondylo_ml.data.readers.base import read_each
from spondylo_ml.data.readers.recognition import recognition_of
from spondylo_ml.errors import DataError, FileError

every_kind = pytest.mark.parametrize("kind", KINDS)
every_labelled_kind = pytest.mark.parametrize("kind", LABELLED)


def test_the_tests_know_every_reader() -> None:
    assert set(KINDS) == set(READERS)


@every_kind
def test_a_valid_folder_is_recognised_only_by_its_reader_and_read_without_bad_files(kind: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    assert find_reader(root).kind == kind
    others = [name for name, reader in READERS.items() if name not in (kind, "folder") and reader.recognises(root)]
    assert others == []
    films = read_folder(root)
    assert (films.kind, films.name, films.bad_files) == (kind, "set", ())
    assert len(films.films) >= 3
    require_usable(films, "error", root)


@every_kind
def test_film_ids_are_unique_and_sizes_are_those_of_the_pixels(kind: str, tmp_path: Path) -> None:
    films = read_folder(sound_folder(kind, tmp_path / "set")).films
    assert len({film.film_id for film in films}) == len(films)
    assert [film.size_hw for film in films] == [film.image.read().shape for film in films]
    assert all(film.path is not None and film.path.is_file() for film in films)


@every_labelled_kind
def test_corners_are_in_their_anatomical_order_and_inside_the_slots(kind: str, tmp_path: Path) -> None:
    films = read_folder(sound_folder(kind, tmp_path / "set"))
    labelled = [film for film in films.films if film.labelled]
    assert labelled
    for film in labelled:
        corners = corners_of(film)
        for quad, up in zip(corners, toward_head(np.nanmean(corners, axis=1)), strict=True):
            if not np.isnan(quad).any():
                assert outline_fault(quad, up) is None
                assert (edge_turns(quad) > 0).all()
    assert films.overflow() == ()


@every_kind
def test_the_digest_is_that_of_a_second_reading_and_of_any_order(kind: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    films = read_folder(root)
    assert digest(films.films, films.slots) == digest(read_folder(root).films[::-1], films.slots)


@every_kind
def test_another_folder_is_not_recognised(kind: str, tmp_path: Path) -> None:
    assert not READERS[kind].recognises(tmp_path)
    (tmp_path / "notes.md").write_text("no films")
    (tmp_path / "more").mkdir()
    assert not READERS[kind].recognises(tmp_path)
    with pytest.raises(DataError, match=f"has no such layout. Looked in it for:\n  {kind}: "):
        read_folder(tmp_path, kind)


@every_kind
@pytest.mark.parametrize("damage", ["empty", "no image", "cut off"])
def test_a_broken_film_is_collected_and_the_others_are_read(kind: str, damage: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    before = read_folder(root)
    path = images_of(root)[0]
    content = {"empty": b"", "no image": b"not an image", "cut off": path.read_bytes()[:-20]}[damage]
    path.write_bytes(content)
    films = read_folder(root)
    assert [(f.file, f.reason) for f in films.bad_files] == [(path.name, UNREADABLE)]
    assert len(films.films) == len(before.films) - 1
    with pytest.raises(DataError, match=r"1 bad file\(s\) in .*\n.*not an image that can be read"):
        require_usable(films, "error", root)


@every_kind
def test_a_film_that_is_damaged_within_is_reported_when_read_and_not_named_to_runs(kind: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    film = read_folder(root).films[0]
    assert film.path is not None
    film.path.write_bytes(b"\xff\xd8 damaged afterwards \xff\xda\xff\xd9")
    with pytest.raises(FileError, match=f"{film.path.name}: not an image that can be read") as caught:
        film.image.read()
    messages = caught.value.in_run()
    assert (film.path.stem in messages) == (kind not in PRIVATE)
    assert kind not in PRIVATE or messages.startswith(film.film_id)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("spineweb16", "coco")])
def test_two_films_of_one_stem_are_both_bad(kind: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    path = images_of(root)[0]
    write_film(path.with_suffix(".jpg"))
    films = read_folder(root)
    assert sorted(f.file for f in films.bad_files) == sorted([path.name, path.with_suffix(".jpg").name])
    assert {f.reason for f in films.bad_files} == {"two films of one name, as .jpg and .png: keep one"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("spineweb16", "coco")])
def test_a_suffix_in_capital_letters_is_fine(kind: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    count = len(read_folder(root).films)
    path = images_of(root)[0]
    path.rename(path.with_suffix(".PNG"))
    films = read_folder(root)
    assert films.bad_files == ()
    assert len(films.films) == count


@every_labelled_kind
def test_a_film_without_its_label_and_a_label_without_its_film_are_bad(kind: str, tmp_path: Path) -> None:
    root = one_film(kind, tmp_path)
    (film,) = images_of(root)
    write_film(film.with_name("other.png"))
    (finding,) = read_folder(root).bad_files
    assert finding.file == "other.png"
    assert "label" in finding.reason
    assert "other" not in finding.reason
    film.unlink()
    result = {f.file: f.reason for f in read_folder(root).bad_files}
    assert len(result) == 2
    assert any("without its film" in why or "missing in images/" in why for why in result.values())


@every_labelled_kind
def test_zero_films_are_reported(kind: str, tmp_path: Path) -> None:
    root = one_film(kind, tmp_path / "set")
    images_of(root)[0].write_bytes(b"")
    with pytest.raises(DataError, match=r"no usable film in .* \(1 bad files\)\n  .+: .+"):
        require_usable(read_folder(root), "skip", root)


def test_zero_films_in_a_plain_folder_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        read_folder(tmp_path, "folder")


# ------------------------------------------------------------------------------------------------ numbers in a label


def put(value: object) -> object:
    """Change one number of the second vertebra from below."""

    def change(corners: Corners) -> None:
        corners[1][2][0] = value

    return change


@every_labelled_kind
@pytest.mark.parametrize("value", [math.nan, math.inf, "abc", True, ""], ids=repr)
def test_a_value_that_is_not_finite_makes_a_label_bad(kind: str, value: object, tmp_path: Path) -> None:
    films = read_folder(one_film(kind, tmp_path, put(value)))  # type: ignore[arg-type]
    assert films.films == ()
    (why,) = reasons(films)
    missing_field = kind == "yolo" and value == ""
    assert ("fields, 17 are needed" if missing_field else "must be finite numbers, found") in why
    # What was found stays on the terminal: a label may hold anything.
    assert "found" not in films.bad_files[0].reason


@every_labelled_kind
@pytest.mark.parametrize("value", [5000.0, -3000.0])
def test_a_corner_far_outside_makes_a_label_bad(kind: str, value: float, tmp_path: Path) -> None:
    (why,) = reasons(read_folder(one_film(kind, tmp_path, put(value))))  # type: ignore[arg-type]
    if kind == "buu" and value > 0:  # the left point lies right of the right one: exchanged first
        assert "a corner at (5000," in why
    assert f"a corner at ({value:.0f}," in why
    assert f"px lies far outside the film of {SIZE_HW[1]} x {SIZE_HW[0]}" in why


def crossed(corners: Corners) -> None:
    quad = corners[1]
    quad[2], quad[3] = quad[3], quad[2]


def crossed_endplates(corners: Corners) -> None:
    """A crossed outline with the left points on the left, the only one the BUU layout can hold."""
    corners[1][:] = [[80.0, 300.0], [120.0, 270.0], [80.0, 270.0], [120.0, 300.0]]


def flat(corners: Corners) -> None:
    corners[1][:] = [[80.0 + 10 * i, 280.0] for i in (0, 3, 1, 2)]


@every_labelled_kind
@pytest.mark.parametrize("damage", ["crossed", "flat"])
def test_an_impossible_outline_is_kept_with_a_note(kind: str, damage: str, tmp_path: Path) -> None:
    change = flat if damage == "flat" else crossed_endplates if kind == "buu" else crossed
    films = read_folder(one_film(kind, tmp_path, change))
    assert films.bad_files == ()
    level = "L4" if kind == "spineweb16" else "L5"
    why = {"flat": "its corners lie on a line", "crossed": "its outline crosses itself"}[damage]
    assert [note.reason for note in films.notes] == [f"{level}: {why}; corners kept as given"]
    (film,) = films.films
    value: Corners = boxes(count_of(kind))
    change(value)
    np.testing.assert_allclose(corners_of(film)[1], np.array(value[1], dtype=float))


# ---------------------------------------------------------------------------------------------------------- at once


def test_films_are_checked_in_parallel_and_errors_collected_in_order() -> None:
    together = threading.Barrier(2, timeout=30)

    def film(item: int) -> int:
        together.wait()  # passes only when two are under way at once
        if item % 2:
            raise FileError(f"{item}.png", "bad")
        return item

    valid, invalid = read_each(range(4), film)
    assert valid == [0, 2]
    assert [str(error) for error in invalid] == ["1.png: bad", "3.png: bad"]


@every_kind
def test_reading_changes_nothing_in_the_folder(kind: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    shutil.copytree(root, tmp_path / "copy")
    read_folder(root)
    files = {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    copy = tmp_path / "copy"
    assert files == {p.relative_to(copy): p.read_bytes() for p in copy.rglob("*") if p.is_file()}


@every_labelled_kind
def test_a_films_csv_is_read_or_noted(kind: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    names = [path.name for path in images_of(root)]
    beside = images_of(root)[0].parent
    for folder in dict.fromkeys((root, beside)):
        if not (folder / "films.csv").exists():
            (folder / "films.csv").write_text("filename,facing\n" + "".join(f"{name},left\n" for name in names))
    films = read_folder(root)
    unread = [note for note in films.notes if note.file == "films.csv" and note.reason.startswith("is not read: ")]
    expected = [root] if kind == "coco" else []
    assert [note.detail for note in unread] == [
        f" (the one in {folder})" for folder in [*expected, *([beside] if beside != root else [])]
    ]
    assert all(note.doubt for note in unread)
    how_sure = dict(recognition_of(root, "auto", films).facts)["how sure"]
    assert (f"{len(unread)} films.csv that is not read" in how_sure) == bool(unread)
    if kind == "coco":
        assert "stated for each image in the annotations" in unread[0].reason
