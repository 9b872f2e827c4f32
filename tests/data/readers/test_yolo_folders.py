"""YOLO folders as exported by tools: files that name classes, Roboflow's splits, points without visibility."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from reading import boxes, corners_of, one_film, reasons, sound_folder, whole_films, write_film

from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import LEVELS, Film

NAMES = list(LEVELS)
YAML = f"names: {NAMES}\n"


def without_sacrum(root: Path) -> dict[str, list[tuple[str, float]]]:
    """Three films in `root` without S1 and without a file that names classes; returns the true levels of each."""
    films = whole_films(3)
    write_dataset(films, "yolo", root)
    (root / "data.yaml").unlink()
    for label in (root / "labels").rglob("*.txt"):
        lines = label.read_text().splitlines(keepends=True)
        label.write_text("".join(line for line in lines if not line.startswith("0 ")))
    return {film.film_id: told(film)[1:] for film in films.films}


def told(film: Film) -> list[tuple[str, float]]:
    """Level and height of each vertebra."""
    return [(v.level, round(float(v.corners_xy[0, 1]), 3)) for v in film.vertebrae or ()]


def labels_of(root: Path) -> dict[str, list[tuple[str, float]]]:
    films = read_folder(root)
    assert films.bad_files == ()
    assert {film.levels_from for film in films.films} == {"label"}
    return {film.path.stem: told(film) for film in films.films if film.path}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("data.yaml", YAML),
        ("data.yml", YAML),
        ("dataset.yaml", "names:\n" + "".join(f"  {i}: {name}\n" for i, name in enumerate(NAMES))),
        ("dataset.yml", YAML),
        ("spine-pose.yaml", YAML),
        ("classes.txt", "\n".join(NAMES) + "\n\n"),
        ("classes.txt", "\ufeff" + "\r\n".join(name.lower() for name in NAMES)),
        ("labels/classes.txt", "\n".join(NAMES)),
        ("obj.names", "\n".join(NAMES)),
        ("notes.json", json.dumps({"categories": [{"id": i, "name": name} for i, name in enumerate(NAMES)]})),
        ("../data.yaml", YAML + "train: ../set/images\nval: ../other/images\n"),
        ("../data.yaml", YAML + "path: set\ntrain: images\n"),
        ("../dataset.yml", YAML + "train: set/images\n"),
    ],
)
def test_names_of_classes_are_found_wherever_tools_write_them(tmp_path: Path, name: str, content: str) -> None:
    root = tmp_path / "set"
    truth = without_sacrum(root)
    (root / name).write_text(content, encoding="utf-8")
    assert labels_of(root) == truth


def test_files_that_name_classes_must_agree(tmp_path: Path) -> None:
    truth = without_sacrum(tmp_path / "set")
    (tmp_path / "set" / "data.yaml").write_text(YAML)
    (tmp_path / "set" / "classes.txt").write_text("\n".join(NAMES[:6]))
    assert labels_of(tmp_path / "set") == truth
    (tmp_path / "set" / "classes.txt").write_text("\n".join(reversed(NAMES)))
    with pytest.raises(DataError, match=r"classes.txt: class 0 has another name in another file: keep one: C6"):
        read_folder(tmp_path / "set")
    (tmp_path / "set" / "classes.txt").write_text("S1\n\nL4\n")
    with pytest.raises(DataError, match="must have one name per line, and no empty lines between"):
        read_folder(tmp_path / "set")


def test_classes_without_names_are_an_error_that_says_where_names_were_looked_for(tmp_path: Path) -> None:
    root = tmp_path / "set"
    without_sacrum(root)
    (tmp_path / "data.yaml").write_text(YAML + "train: ../other/images\n")  # of another dataset
    (root / "notes.yaml").write_text("by: me\n")
    with pytest.raises(DataError) as caught:
        read_folder(root)
    message = str(caught.value)
    assert re.search(r"the labels in .*/set have classes up to [5-9]\d*, and no file names them", message)
    for name in ("data.yaml", "data.yml", "dataset.yaml", "classes.txt", "notes.json", str(tmp_path)):
        assert name in message


def test_one_class_0_without_names_is_read_with_assumed_levels(tmp_path: Path) -> None:
    (film,) = read_folder(one_film("yolo", tmp_path)).films
    assert film.levels_from.startswith("assumed")


def test_several_classes_that_are_not_levels_are_an_error_unless_unused(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    (root / "data.yaml").write_text("names: [vertebra, sacrum]\n")
    assert len(read_folder(root).films) == 1
    label = root / "labels" / "train" / "one.txt"
    *others, lowest = label.read_text().splitlines()
    label.write_text("\n".join([*others, f"1{lowest[1:]}"]))
    with pytest.raises(
        DataError, match=r"several classes that are not levels \(sacrum, vertebra\), from which no vertebra's level"
    ):
        read_folder(root)


# ------------------------------------------------------------------------------------------------------------- Roboflow


def roboflow(root: Path) -> dict[str, list[tuple[str, float]]]:
    """Three films as Roboflow writes them, a part each."""
    truth = without_sacrum(root / "flat")
    for image, part in zip(sorted((root / "flat" / "images").rglob("*.png")), ("train", "valid", "test"), strict=True):
        label = next((root / "flat" / "labels").rglob(f"{image.stem}.txt"))
        for path, name in ((image, "images"), (label, "labels")):
            (root / part / name).mkdir(parents=True)
            path.rename(root / part / name / path.name)
    shutil.rmtree(root / "flat")
    parts = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    (root / "data.yaml").write_text(f"{parts}kpt_shape: [4, 3]\nnc: {len(NAMES)}\n{YAML}")
    return truth


def test_roboflows_layout_is_read_and_valid_means_val(tmp_path: Path) -> None:
    truth = roboflow(tmp_path)
    films = read_folder(tmp_path)
    assert (films.kind, films.bad_files, films.notes) == ("yolo", (), ())
    assert labels_of(tmp_path) == truth
    assert [film.split for film in films.films if film.path] == [
        {"train": "train", "valid": "val", "test": "test"}[film.path.parts[-3]] for film in films.films if film.path
    ]
    assert {film.split for film in films.films} == {"train", "val", "test"}
    # One part by itself has the names of the whole.
    (name,) = labels_of(tmp_path / "train")
    assert labels_of(tmp_path / "train")[name] == truth[name]


@pytest.mark.parametrize(("images", "labels"), [("valid", "valid"), ("validation", "val"), ("Val", "Val")])
def test_parts_within_images_may_be_named_otherwise(tmp_path: Path, images: str, labels: str) -> None:
    root = one_film("yolo", tmp_path)
    for folder, name in (("images", images), ("labels", labels)):
        (root / folder / "train").rename(root / folder / name)
    films = read_folder(root)
    assert films.bad_files == ()
    (film,) = films.films
    assert (film.split, film.labelled) == ("val", True)


def test_labels_of_a_part_without_films_are_listed(tmp_path: Path) -> None:
    root = one_film("yolo", tmp_path)
    (root / "labels" / "test").mkdir()
    (root / "labels" / "test" / "alone.txt").write_text("0")
    assert [(f.file, f.reason.split(" (")[0]) for f in read_folder(root).bad_files] == [
        ("alone.txt", "label without its film in images/test")
    ]


@pytest.mark.parametrize("parts", [("train", "valid", "test"), ("train",), ("Training", "other")])
def test_a_hint_never_leads_into_one_part(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        write_film(tmp_path / part / "a.png")
    with pytest.raises(DataError, match="has no such layout") as caught:
        read_folder(tmp_path)
    assert "Did you mean" not in str(caught.value)
    assert f"It holds {', '.join(sorted(parts))}: a part alone is not the dataset" in str(caught.value)


def test_a_hint_names_all_of_several_datasets(tmp_path: Path) -> None:
    for name in ("a", "b"):
        sound_folder("yolo", tmp_path / name)
    with pytest.raises(DataError, match=r"It holds several folders that can be read: a, b\. Give one of them"):
        read_folder(tmp_path)


# ------------------------------------------------------------------------------------------------- values of the points


def two_values(root: Path, content: str = "kpt_shape: [4, 2]\n") -> Path:
    one_film("yolo", root)
    label = root / "labels" / "train" / "one.txt"
    lines = [line.split() for line in label.read_text().splitlines()]
    remaining = [[f for i, f in enumerate(line) if i < 5 or (i - 5) % 3 < 2] for line in lines]
    label.write_text("\n".join(map(" ".join, remaining)))
    (root / "data.yaml").write_text(content)
    return root


def test_two_values_a_point_are_read_as_visible(tmp_path: Path) -> None:
    (film,) = read_folder(two_values(tmp_path)).films
    np.testing.assert_allclose(corners_of(film), boxes())
    assert all(v.visible.all() for v in film.vertebrae or ())


def test_two_values_per_point_without_kpt_shape_are_reported(tmp_path: Path) -> None:
    root = two_values(tmp_path, "kpt_shape: [4, 3]\n")
    (why,) = reasons(read_folder(root))
    assert why.startswith("line 1 has 13 fields, 17 are needed: two values a point are read where data.yaml says kpt_")
    label = one_film("yolo", tmp_path / "other") / "labels" / "train" / "one.txt"
    (tmp_path / "other" / "data.yaml").write_text("kpt_shape: [4, 2]\n")
    (why,) = reasons(read_folder(tmp_path / "other"))
    assert "line 1 has 17 fields, 13 are needed: it has a visibility for each point" in why
    assert label.is_file()


def test_a_point_at_0_0_without_a_visibility_is_not_taken_for_a_corner(tmp_path: Path) -> None:
    root = two_values(tmp_path)
    label = root / "labels" / "train" / "one.txt"
    fields = label.read_text().splitlines()[-1].split()
    label.write_text(" ".join([*fields[:9], "0", "0", "0", "0"]))
    (why,) = reasons(read_folder(root))
    assert why == "line 1: a point at 0 0, which may stand for an absent one: give visibilities, kpt_shape: [4, 3]"
