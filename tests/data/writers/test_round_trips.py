"""A dataset that is written and read back is unchanged, except for the listed losses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import plain_film, square

from spondylo_ml.data.films import FilmSet, HeldImage, digest
from spondylo_ml.data.levels_from import LOWEST_IS_L5, LOWEST_IS_S1
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.readers import find_reader, read_folder
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.data.writers import WRITERS
from spondylo_ml.data.writers.dataset import WrittenDataset, write_dataset
from spondylo_ml.data.writers.losses import TOLERANCE_PX
from spondylo_ml.landmarks import Facing, Film, SlotRange, Vertebra
from spondylo_ml.spacing import Spacing

SIZE_HW = (400, 200)
CARRY_ALL = ("coco", "yolo", "label-studio", "cvat", "labelme", "slicer")


def rich_films() -> FilmSet:
    """Two patients and three parts; both facings; a reader; a hidden and an absent corner; an unlabelled film."""
    bodies = tuple(square(slot, 80, 330 - 50 * slot, 30) for slot in range(7))
    hidden = replace(bodies[2], visible=np.array([True, False, True, True]))
    absent = bodies[3].corners_xy.copy()
    absent[1] = np.nan
    spacing = Spacing(0.14, 0.15, "the maker of the film")
    films = (
        film(
            "a",
            bodies,
            patient="p",
            split="train",
            facing=Facing.LEFT,
            spacing=spacing,
            pixel_aspect=spacing.pixel_aspect,
            sex="F",
            age_years=61,
            reader="Dr Ödön Ott",
        ),
        film("b", (*bodies[:2], hidden, *bodies[3:]), patient="p", split="train", facing=Facing.RIGHT),
        film("c", (*bodies[:3], Vertebra(3, absent), *bodies[4:]), patient="q", split="val", facing=Facing.UNKNOWN),
        film("d", None, patient="r", split="test", facing=Facing.LEFT),
    )
    return FilmSet("test", "test", films, SlotRange(0, 10))


def film(name: str, vertebrae: tuple[Vertebra, ...] | None, spacing: Spacing | None = None, **fields: object) -> Film:
    pixels = np.random.default_rng(ord(name[0])).integers(0, 255, SIZE_HW, dtype=np.uint8)
    return replace(plain_film(name, vertebrae, SIZE_HW, pixels=pixels), spacing=spacing, **fields)  # type: ignore[arg-type]


def by_stem(dataset: WrittenDataset) -> dict[str, Film]:
    return {f.path.stem: f for f in dataset.films.films if f.path}


def losses_of(dataset: WrittenDataset) -> dict[str, int]:
    return {loss.what: loss.n_films for loss in dataset.losses}


def assert_same_labels(before: Film, after: Film) -> None:
    assert (before.vertebrae is None) == (after.vertebrae is None)
    assert [v.slot for v in before.vertebrae or ()] == [v.slot for v in after.vertebrae or ()]
    for one, other in zip(before.vertebrae or (), after.vertebrae or (), strict=True):
        np.testing.assert_allclose(one.corners_xy, other.corners_xy, atol=TOLERANCE_PX)
        np.testing.assert_array_equal(one.visible, other.visible)


@pytest.mark.parametrize("kind", CARRY_ALL)
def test_the_formats_for_custom_films_lose_nothing(kind: str, tmp_path: Path) -> None:
    films = rich_films()
    bodies = films.films[0].vertebrae or ()
    assumed = (
        film("e", bodies, patient="s", split="val", levels_from=LOWEST_IS_S1),
        film("f", bodies[1:], patient="t", split="val", facing=Facing.NONE, levels_from=LOWEST_IS_L5),
    )
    films = replace(films, films=films.films + assumed)
    dataset = write_dataset(films, kind, tmp_path / "set")
    assert dataset.losses == ()
    assert dataset.films.bad_files == dataset.films.notes == ()
    after = by_stem(dataset)
    assert after.keys() == {"a", "b", "c", "d", "e", "f"}
    for before in films.films:
        read = after[before.film_id]
        assert_same_labels(before, read)
        np.testing.assert_array_equal(before.image.read(), read.image.read())
        assert (read.split, read.facing, read.size_hw) == (before.split, before.facing, before.size_hw)
        assert (read.film_id, read.patient) == (pseudonym(before.film_id), pseudonym(before.patient))
        assert (read.levels_from, read.reader) == (before.levels_from, before.reader)
        assert (read.spacing is None) == (before.spacing is None)
        assert (read.pixel_aspect, read.sex, read.age_years) == (before.pixel_aspect, before.sex, before.age_years)
    spacing = after["a"].spacing
    assert spacing is not None
    assert (spacing.x_mm, spacing.y_mm) == (0.14, 0.15)
    assert spacing.provenance == "the maker of the film"


@pytest.mark.parametrize("aspect", [None, 0.8, 1.0])
def test_coco_carries_a_stretch_known_or_not(aspect: float | None, tmp_path: Path) -> None:
    films = rich_films()
    stretched = replace(films, films=tuple(replace(f, spacing=None, pixel_aspect=aspect) for f in films.films))
    dataset = write_dataset(stretched, "coco", tmp_path / "set")
    assert {film.pixel_aspect for film in dataset.films.films} == {aspect}
    assert dataset.losses == ()


@pytest.mark.parametrize(
    ("value", "message"), [(0, "pixel_aspect must be above 0"), ("x", "pixel_aspect must be finite")]
)
def test_an_invalid_pixel_aspect_makes_a_bad_file(value: object, message: str, tmp_path: Path) -> None:
    root = write_dataset(rich_films(), "coco", tmp_path / "set").folder
    tree = json.loads((root / "annotations.json").read_text())
    tree["images"][0]["pixel_aspect"] = value
    (root / "annotations.json").write_text(json.dumps(tree))
    (finding,) = read_folder(root).bad_files
    assert message in finding.reason


@pytest.mark.parametrize("kind", CARRY_ALL)
def test_films_that_were_read_are_written_again_under_the_same_names(kind: str, tmp_path: Path) -> None:
    first = write_dataset(rich_films(), kind, tmp_path / "first").films
    second = write_dataset(read_folder(tmp_path / "first"), kind, tmp_path / "second")
    assert second.losses == ()
    assert digest(second.films.films, first.slots) == digest(first.films, first.slots)
    assert {f.patient for f in second.films.films} == {f.patient for f in first.films}
    other = "yolo" if kind == "coco" else "coco"
    third = write_dataset(second.films, other, tmp_path / "third")
    assert third.losses == ()
    assert digest(third.films.films, first.slots) == digest(first.films, first.slots)


def test_mendeley_carries_corners_and_parts_and_lists_the_rest(tmp_path: Path) -> None:
    films = rich_films()
    dataset = write_dataset(films, "mendeley", tmp_path / "set")
    assert losses_of(dataset) == {
        "facing": 3,
        "spacing": 1,
        "stretch: slips and angles of these films will be wrong": 1,
        "reader's name": 1,
        "sex": 1,
        "age": 1,
        "patient": 2,
        "which corners are hidden": 1,
        "level names (a reader will assume the same ones)": 3,
    }
    after = by_stem(dataset)
    for before in (films.films[0], films.films[2], films.films[3]):
        assert_same_labels(before, after[before.film_id])
        assert after[before.film_id].split == before.split


def test_mendeley_lists_labels_of_test_films_and_levels_that_do_not_begin_with_s1(tmp_path: Path) -> None:
    bodies = tuple(square(slot, 80, 330 - 50 * slot, 30) for slot in range(1, 6))
    films = (film("a", bodies, split="test"), film("b", bodies, split="val"), film("c", (), split="train"))
    losses = losses_of(write_dataset(FilmSet("test", "test", films, SlotRange(0, 10)), "mendeley", tmp_path / "set"))
    assert losses["labels"] == 1
    assert losses["levels, read as others"] == 1
    assert losses["films, not written at all"] == 1


def test_buu_carries_the_lumbar_spine_and_lists_the_rest(tmp_path: Path) -> None:
    films = rich_films()
    dataset = write_dataset(films, "buu", tmp_path / "set")
    # c lacks a corner of L3 and d has no label: no table could be written for them.
    assert losses_of(dataset) == {
        "films, not written at all": 2,
        "vertebrae": 2,
        "corners": 2,
        "which corners are hidden": 1,
        "facing": 2,
        "spacing": 1,
        "stretch: slips and angles of these films will be wrong": 1,
        "part": 2,
        "reader's name": 1,
        "sex": 1,
        "age": 1,
        "patient": 2,
    }
    for name in ("a", "b"):
        before = next(f for f in films.films if f.film_id == name)
        read = by_stem(dataset)[name]
        assert [v.level for v in read.vertebrae or ()] == ["S1", "L5", "L4", "L3", "L2", "L1"]
        for one, other in zip(before.vertebrae or (), read.vertebrae or (), strict=False):
            present = other.present
            np.testing.assert_allclose(one.corners_xy[present], other.corners_xy[present], atol=TOLERANCE_PX)


def test_buu_carries_everything_of_films_like_its_own(tmp_path: Path) -> None:
    bodies = [square(slot, 80, 330 - 50 * slot, 30) for slot in range(6)]
    sacrum = bodies[0].corners_xy.copy()
    sacrum[2:] = np.nan
    spacing = Spacing(0.2, 0.2, "pixel_spacing.csv")
    whose = {"patient": "buu-0001", "sex": "F", "age_years": 50}
    lateral = film("0001-F-050Y1", (Vertebra(0, sacrum), *bodies[1:]), spacing, **whose, facing=Facing.LEFT)
    frontal = film("0001-F-050Y0", tuple(bodies[1:]), spacing, **whose, facing=Facing.NONE)
    dataset = write_dataset(FilmSet("test", "test", (lateral, frontal), SlotRange(0, 6)), "buu", tmp_path / "set")
    assert dataset.losses == ()
    for before in (lateral, frontal):
        after = by_stem(dataset)[before.film_id]
        assert_same_labels(before, after)
        assert (after.film_id, after.patient, after.facing) == (before.film_id, before.patient, before.facing)
        assert (after.spacing, after.sex, after.age_years) == (spacing, "F", 50)


def test_a_film_that_yolo_cannot_hold_is_listed(tmp_path: Path) -> None:
    body = (square(0, 80, 300, 30),)
    films = (film("a", body), film("b", ()))
    dataset = write_dataset(FilmSet("test", "test", films, SlotRange(0, 10)), "yolo", tmp_path / "set")
    assert losses_of(dataset) == {"films, not written at all": 1}
    assert write_dataset(FilmSet("test", "test", films, SlotRange(0, 10)), "coco", tmp_path / "other").losses == ()


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_synthetic_films_come_back_with_their_exact_corners(kind: str, tmp_path: Path) -> None:
    phantoms = phantom_films(4, 3, 128)
    films = replace(phantoms, films=tuple(replace(f, split="train") for f in phantoms.films))
    dataset = write_dataset(films, kind, tmp_path / "set")
    assert find_reader(tmp_path / "set").kind == kind
    assert dataset.films.bad_files == dataset.films.notes == ()
    assert "coordinates" not in losses_of(dataset)
    assert "levels, read as others" not in losses_of(dataset)
    after = by_stem(dataset)
    assert len(after) == 4 - losses_of(dataset).get("films, not written at all", 0)
    for before in films.films:
        if before.film_id in after:
            np.testing.assert_array_equal(before.image.read(), after[before.film_id].image.read())


@pytest.mark.parametrize("kind", CARRY_ALL)
def test_assumed_levels_stay_assumed_in_every_layout(kind: str, tmp_path: Path) -> None:
    bodies = tuple(square(slot, 80, 330 - 50 * slot, 30) for slot in range(6))
    films = FilmSet("test", "test", (film("a", bodies, split="train"),), SlotRange(0, 10))
    assumed = write_dataset(films, "mendeley", tmp_path / "mendeley").films
    assert {f.levels_from for f in assumed.films} == {LOWEST_IS_S1}
    dataset = write_dataset(assumed, kind, tmp_path / kind)
    assert {f.levels_from for f in read_folder(tmp_path / kind).films} == {LOWEST_IS_S1}
    assert not any("level" in what for what in losses_of(dataset))


def test_a_layout_that_turns_an_assumption_into_a_fact_lists_that_as_a_loss(tmp_path: Path) -> None:
    bodies = tuple(square(slot, 80, 330 - 50 * slot, 30) for slot in range(6))
    spacing = Spacing(0.2, 0.2, "a ruler")
    one = film("0001-F-050Y1", bodies, spacing, levels_from=LOWEST_IS_S1, facing=Facing.UNKNOWN, split=None)
    losses = losses_of(write_dataset(FilmSet("test", "test", (one,), SlotRange(0, 6)), "buu", tmp_path / "set"))
    (names,) = [what for what in losses if what.startswith("level names")]
    assert names.startswith("level names, assumed until here, labelled from here on")
    assert losses["facing, read as another: slips may change their sign"] == 1
    assert losses["source of the spacing"] == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("guessed", "levels_from must be one of label, assumed S1, assumed L5"),
        (["label"], "levels_from must be one of label, assumed S1, assumed L5"),
    ],
)
def test_an_invalid_source_of_levels_makes_a_bad_file(value: object, message: str, tmp_path: Path) -> None:
    root = write_dataset(rich_films(), "coco", tmp_path / "set").folder
    tree = json.loads((root / "annotations.json").read_text())
    tree["images"][0]["levels_from"] = value
    (root / "annotations.json").write_text(json.dumps(tree))
    (finding,) = read_folder(root).bad_files
    assert message in finding.reason


def test_labels_without_levels_cannot_be_said_to_name_them(tmp_path: Path) -> None:
    root = write_dataset(rich_films(), "coco", tmp_path / "set").folder
    tree = json.loads((root / "annotations.json").read_text())
    for annotation in tree["annotations"]:
        del annotation["attributes"]
    (root / "annotations.json").write_text(json.dumps(tree))
    assert {f.reason for f in read_folder(root).bad_files} == {
        "levels_from says that the label names the levels, but its vertebrae have none"
    }


def test_films_of_all_grades_are_read_back_with_the_same_levels_in_every_layout(tmp_path: Path) -> None:
    phantoms = phantom_films(300, 12, 192, ("export",), "even")
    whole = [f for f in phantoms.films if len(f.vertebrae or ()) >= 6]
    selected = sorted(
        whole, key=lambda f: f.vertebrae[1].corners_xy[:, 1].max() - f.vertebrae[0].corners_xy[:, 1].max()
    )
    blank = {f.size_hw: HeldImage(np.zeros(f.size_hw, dtype=np.uint8)) for f in phantoms.films}
    films = replace(phantoms, films=tuple(replace(f, image=blank[f.size_hw], split="train") for f in selected[-15:]))
    highest = max(abs(f.image.description().slip_percent[0]) for f in selected[-15:])  # type: ignore[attr-defined]
    assert highest > 95, "some would change places if sorted by height"
    for kind in sorted(WRITERS):
        after = by_stem(write_dataset(films, kind, tmp_path / kind))
        for before in films.films:
            read = after[before.film_id].vertebrae or ()
            for one, other in zip(before.vertebrae or (), read, strict=kind != "buu"):
                assert one.slot == other.slot
                np.testing.assert_allclose(one.corners_xy[other.present], other.corners_xy[other.present], atol=1e-6)
