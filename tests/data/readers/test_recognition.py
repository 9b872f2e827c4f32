"""Detection of a folder's layout, and the messages if it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import spineweb_folder
from reading import KINDS, sound_folder

from spondylo_ml.data.readers import READERS, read_folder
from spondylo_ml.errors import DataError


def test_a_layout_is_recognised_or_given(mendeley: Path, spineweb: Path) -> None:
    assert read_folder(mendeley).kind == read_folder(mendeley, "mendeley").kind == "mendeley"
    assert read_folder(spineweb).kind == read_folder(spineweb, "spineweb16").kind == "spineweb16"
    assert read_folder(mendeley).name == "lateral"


def test_a_folder_of_two_layouts_needs_the_kind(mendeley: Path) -> None:
    spineweb_folder(mendeley)
    with pytest.raises(
        DataError, match=r"looks like several datasets \(mendeley, spineweb16\): name one with --data.kind"
    ):
        read_folder(mendeley)
    assert read_folder(mendeley, "spineweb16").kind == "spineweb16"


@pytest.mark.parametrize(("parent", "state"), [(False, "does not exist"), (True, "is empty")])
def test_a_missing_or_empty_folder_says_what_was_looked_for_and_where(tmp_path: Path, parent: bool, state: str) -> None:
    root = tmp_path / "films"
    if parent:
        root.mkdir()
    with pytest.raises(DataError, match=state) as caught:
        read_folder(root)
    assert str(root.resolve()) in str(caught.value)
    for reader in READERS.values():
        assert f"  {reader.kind}: {reader.layout}" in str(caught.value)


def test_a_folder_of_another_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "something").mkdir()
    with pytest.raises(DataError, match=r"has no such layout\. Looked in it for:\n  mendeley: .*\n  spineweb16: "):
        read_folder(tmp_path)


def test_a_kind_that_the_folder_does_not_have_names_that_layout_alone(mendeley: Path) -> None:
    with pytest.raises(DataError, match=r"has no such layout\. Looked in it for:\n  spineweb16: ") as caught:
        read_folder(mendeley, "spineweb16")
    assert "Keypointrcnn_data" not in str(caught.value)


# ---------------------------------------------------------------------------------- the folder that was probably meant


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        ("mendeley", "Train/Keypointrcnn_data/images/train"),
        ("mendeley", "Test"),
        ("spineweb16", "images"),
        ("yolo", "images"),
        ("coco", "images"),
    ],
)
def test_a_split_of_a_labelled_dataset_is_not_read_as_a_plain_folder(kind: str, inner: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    message = rf"is a part of the dataset in {root}: give that folder, or read its films without labels: --data.kind"
    with pytest.raises(DataError, match=message):
        read_folder(root / inner)
    assert not any(film.labelled for film in read_folder(root / inner, "folder").films)


@pytest.mark.parametrize(
    ("kind", "inner"), [("mendeley", "Train"), ("yolo", "labels"), ("mendeley", "Train/Keypointrcnn_data/labels")]
)
def test_a_part_without_films_names_the_dataset_above(kind: str, inner: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    (root / inner).mkdir(exist_ok=True)
    with pytest.raises(DataError, match=rf"This is a part of a dataset: did you mean {root}\?"):
        read_folder(root / inner)


def test_the_inner_folders_of_mendeley_do_not_pass_for_yolo(tmp_path: Path) -> None:
    root = sound_folder("mendeley", tmp_path / "set")
    inner = root / "Train" / "Keypointrcnn_data"
    with pytest.raises(
        DataError, match=rf"is a part of the dataset in {root}: give that folder, or .* --data.kind yolo"
    ):
        read_folder(inner)
    assert read_folder(inner, "yolo").bad_files, "insisting is possible"


@pytest.mark.parametrize("kind", KINDS)
def test_the_folder_above_a_dataset_names_the_dataset(kind: str, tmp_path: Path) -> None:
    sound_folder(kind, tmp_path / "set")
    with pytest.raises(DataError, match=rf"has no such layout(.|\n)*Did you mean {tmp_path}/set\?"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("kind", "right", "name"),
    [
        ("yolo", "images", "Images"),
        ("yolo", "labels", "Labels"),
        ("coco", "images", "IMAGES"),
        ("buu", "LA", "la"),
        ("mendeley", "Train/Keypointrcnn_data", "Train/keypointrcnn_data"),
        ("spineweb16", "landmarks.csv", "Landmarks.csv"),
    ],
)
def test_a_name_in_the_wrong_case_is_reported(kind: str, right: str, name: str, tmp_path: Path) -> None:
    root = sound_folder(kind, tmp_path / "set")
    (root / right).rename(root / name)
    message = rf"There is '{name}.*', which must be named '{right}.*': names are case-sensitive"
    with pytest.raises(DataError, match=message):
        read_folder(root)


def test_films_with_labels_beside_them_are_no_plain_folder(tmp_path: Path) -> None:
    root = sound_folder("folder", tmp_path / "set")
    film = next(root.glob("*.png"))
    film.with_suffix(".txt").write_text("0 0 0")
    with pytest.raises(DataError, match=r"holds 1 film\(s\) with labels beside them, which is not a known layout"):
        read_folder(root)
    films = read_folder(root, "folder")
    assert len(films.films) == 3
    assert [note.file for note in films.notes] == [film.with_suffix(".txt").name]


def test_images_and_both_kinds_of_labels_need_the_kind(tmp_path: Path) -> None:
    root = sound_folder("yolo", tmp_path / "set")
    (root / "annotations.json").write_text("{}")
    with pytest.raises(DataError, match=r"looks like several datasets \(coco, yolo\): name one with --data.kind"):
        read_folder(root)
    assert read_folder(root, "yolo").bad_files == ()
