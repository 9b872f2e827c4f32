"""Writing a dataset: nothing is overwritten, and an interrupted dataset is never mistaken for a complete one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import ArrayImage, mendeley_folder, plain_film, square

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.data.writers.dataset import FEW_FILMS, write_dataset
from spondylo_ml.data.writers.losses import Loss, losses
from spondylo_ml.errors import DataError
from spondylo_ml.folders import require_empty_folder
from spondylo_ml.landmarks import GreyImage, SlotRange

FILMS = FilmSet(
    "made",
    "made",
    (plain_film("a", (square(0, 10, 60, 20),)), plain_film("b", (square(0, 10, 60, 20),))),
    SlotRange(0, 10),
)


def test_a_folder_that_is_not_empty_is_rejected_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(DataError, match=r"is not empty: give a new or empty folder, nothing is overwritten"):
        write_dataset(FILMS, "coco", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        write_dataset(FILMS, "coco", tmp_path / "set")


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_empty_folder_is_filled_and_no_temporary_folder_remains(tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "deep" / "set"
    if exists:
        target.mkdir(parents=True)
    require_empty_folder(target)
    dataset = write_dataset(FILMS, "coco", target)
    assert dataset.folder == target
    assert dataset.films.name == "set"
    assert [p.name for p in target.parent.iterdir()] == ["set"]


@dataclass(frozen=True)
class Interrupted(ArrayImage):
    def read(self) -> GreyImage:
        raise KeyboardInterrupt


def test_an_interrupted_export_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    broken = FilmSet("made", "made", (*FILMS.films, plain_film("c", ())), SlotRange(0, 10))
    broken.films[2].__dict__["image"] = Interrupted(np.zeros((4, 4), np.uint8))
    with pytest.raises(KeyboardInterrupt):
        write_dataset(broken, "coco", tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_an_incomplete_dataset_has_a_temporary_name(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Looking(ArrayImage):
        def read(self) -> GreyImage:
            seen.append([p.name for p in tmp_path.iterdir()])
            return self.pixels

    looking = plain_film("a", (square(0, 10, 60, 20),))
    looking.__dict__["image"] = Looking(np.zeros((100, 80), np.uint8))
    write_dataset(FilmSet("made", "made", (looking,), SlotRange(0, 10)), "coco", tmp_path / "set")
    (names,) = seen
    assert len(names) == 1
    assert names[0].startswith(".set.partial-")


def test_files_are_copied_as_they_are_under_their_names(tmp_path: Path) -> None:
    root = mendeley_folder(tmp_path / "lateral")
    film = next(iter(sorted((root / "Train" / "Keypointrcnn_data" / "images" / "train").iterdir())))
    pixels = cv2.imread(str(film), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(film.with_suffix(".jpg")), pixels)
    film.unlink()
    write_dataset(read_folder(root), "yolo", tmp_path / "set")
    copy = tmp_path / "set" / "images" / "train" / film.with_suffix(".jpg").name
    assert copy.read_bytes() == film.with_suffix(".jpg").read_bytes()


def test_a_dataset_of_which_nothing_can_be_written_is_an_error(tmp_path: Path) -> None:
    films = FilmSet("made", "made", (plain_film("a", None),), SlotRange(0, 10))
    with pytest.raises(DataError, match="none of the 1 films can be written as buu"):
        write_dataset(films, "buu", tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_many_synthetic_films_are_drawn_by_several_processes_to_the_same_pixels(tmp_path: Path) -> None:
    films = phantom_films(FEW_FILMS + 2, 5, 64)
    dataset = write_dataset(films, "coco", tmp_path / "set")
    assert len(dataset.films.films) == FEW_FILMS + 2
    after = {f.path.stem: f for f in dataset.films.films if f.path}
    for film in (films.films[0], films.films[-1]):
        np.testing.assert_array_equal(film.image.read(), after[film.film_id].image.read())


def test_a_loss_says_what_and_on_how_many_films() -> None:
    assert str(Loss("facing", 3)) == "facing: 3 film(s)"
    assert losses(FILMS.films, {film.film_id: film for film in FILMS.films}) == ()


def test_patients_are_compared_by_the_films_that_they_group() -> None:
    one, two = (plain_film(name, None, patient="p") for name in "ab")
    other, another = (plain_film(name, None, patient="q") for name in "ab")
    assert losses((one, two), {"a": other, "b": another}) == ()
    assert losses((one, two), {"a": one, "b": another}) == (Loss("patient", 2),)


def test_a_moved_corner_is_a_loss() -> None:
    film = plain_film("a", (square(0, 1, 2),))
    renamed = plain_film("a", (square(0, 1.001, 2),))
    assert losses((film,), {"a": renamed}) == (Loss("coordinates", 1),)


def test_a_stretch_that_the_layout_cannot_hold_is_a_loss() -> None:
    film = plain_film("a", (square(0, 1, 2),))
    unknown, stretched = replace(film, pixel_aspect=None), replace(film, pixel_aspect=0.8)
    assert losses((unknown,), {"a": unknown}) == ()
    (withheld,) = losses((stretched,), {"a": unknown})
    assert withheld == Loss("stretch, unknown from here on: slips and angles are withheld", 1)
    for one in (unknown, stretched):
        assert losses((one,), {"a": film}) == (Loss("stretch: slips and angles of these films will be wrong", 1),)


def test_a_target_below_a_file_at_a_broken_link_or_with_a_too_long_name_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("kept")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for name in ("x", "x/y/z"):
        with pytest.raises(DataError, match=rf"file.txt/{name} cannot be written: {tmp_path}/file.txt is a file"):
            require_empty_folder(tmp_path / "file.txt" / name)
    with pytest.raises(DataError, match="gone is a link to nothing: give a new or empty folder"):
        require_empty_folder(tmp_path / "gone")
    with pytest.raises(DataError, match=r"cannot be written: the name 'aaaaaaaaaaaaaaaaaaaa'... is too long"):
        require_empty_folder(tmp_path / ("a" * 250))
    require_empty_folder(tmp_path / "new" / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.txt", "gone"]
