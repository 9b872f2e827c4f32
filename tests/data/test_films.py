"""A dataset in memory: its parts, its limit, its overflow, its digest; and films prepared for a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import plain_film, square, synthetic_film
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.data.films import FileFinding, FileImage, FilmSet, digest
from spondylo_ml.data.prepare import prepare_film, prepare_films
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, SlotRange, vertebrae_from_sacrum

SLOTS = SlotRange(0, 3)


def film_set(counts: dict[str, int], slots: SlotRange = SLOTS) -> FilmSet:
    films = [plain_film(f"{part}-{i:03d}", split=part) for part, count in counts.items() for i in range(count)]
    return FilmSet("made", "made", tuple(films), slots)


def test_parts_are_picked_by_name() -> None:
    films = film_set({"train": 3, "val": 2})
    assert [f.film_id for f in films.part("val")] == ["val-000", "val-001"]
    assert films.part("test") == ()
    assert films.part("all") == films.films


@given(st.integers(3, 120))
def test_a_limited_set_keeps_every_part_in_its_share_and_no_film_twice(count: int) -> None:
    films = film_set({"train": 74, "val": 30, "test": 16}).limited(count)
    assert len(films.films) == len({f.film_id for f in films.films}) == count
    parts = Counter(f.split for f in films.films)
    for part, total in (("train", 74), ("val", 30), ("test", 16)):
        assert abs(parts[part] - count * total / 120) <= 1.5
        assert parts[part] >= 1


def test_a_limit_that_is_absent_or_larger_changes_nothing() -> None:
    films = film_set({"train": 3})
    assert films.limited(None) is films
    assert films.limited(3) is films
    assert films.limited(99) is films


def test_vertebrae_without_a_slot_are_listed() -> None:
    vertebrae = tuple(square(slot, 0, 0) for slot in (0, 2, 3, 4))
    films = FilmSet("made", "made", (plain_film("a", vertebrae), plain_film("b", None)), SLOTS)
    assert [str(f) for f in films.overflow()] == [
        "a: L3 has no slot (S1 to L4): missed",
        "a: L2 has no slot (S1 to L4): missed",
    ]


def test_a_finding_reads_as_file_and_reason() -> None:
    assert str(FileFinding("a.json", "broken")) == "a.json: broken"


BASE = plain_film("a", (square(0, 1, 2), square(1, 3, 4)), split="train")
OTHER_PIXELS = np.zeros((100, 80), dtype=np.uint8)
OTHER_PIXELS[3, 3] = 1


@pytest.mark.parametrize(
    "change",
    [
        lambda f: replace(f, image=plain_film(pixels=OTHER_PIXELS).image),
        lambda f: replace(f, vertebrae=(square(0, 1, 2), square(1, 3, 4.001))),
        lambda f: replace(f, vertebrae=(square(0, 1, 2), square(2, 3, 4))),
        lambda f: replace(f, vertebrae=(square(0, 1, 2),)),
        lambda f: replace(f, vertebrae=None),
        lambda f: replace(f, split="val"),
        lambda f: replace(f, film_id="b"),
    ],
    ids=["pixels", "corner", "level", "fewer", "unlabelled", "split", "name"],
)
def test_the_digest_changes_with_pixels_labels_split_and_name(change: Callable[[Film], Film]) -> None:
    assert digest([change(BASE)], SLOTS) != digest([BASE], SLOTS)


def test_an_unlabelled_film_and_one_labelled_as_showing_nothing_differ_in_the_digest() -> None:
    assert digest([plain_film(vertebrae=None)], SLOTS) != digest([plain_film(vertebrae=())], SLOTS)


def test_the_digest_changes_with_the_slots_and_not_with_the_order_or_a_second_reading() -> None:
    films = [BASE, plain_film("b"), plain_film("c", None)]
    assert digest(films, SLOTS) == digest(films[::-1], SLOTS) == digest(list(films), SLOTS)
    assert digest(films, SLOTS) != digest(films, SlotRange(1, 3))
    assert len(digest(films, SLOTS)) == 64


def test_a_files_fingerprint_is_that_of_its_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for path in (first, second):
        assert cv2.imwrite(str(path), synthetic_film().pixels)
    assert FileImage(first).fingerprint() == FileImage(second).fingerprint()
    second.write_bytes(second.read_bytes() + b"x")
    assert FileImage(first).fingerprint() != FileImage(second).fingerprint()


def test_synthetic_films_are_named_by_seed_index_and_size() -> None:
    films, repeated = phantom_films(3, 5, 96), phantom_films(3, 5, 96)
    assert digest(films.films, films.slots) == digest(repeated.films, repeated.slots)
    assert digest(films.films, films.slots) != digest(phantom_films(3, 6, 96).films, films.slots)
    assert digest(films.films, films.slots) != digest(phantom_films(3, 5, 128).films, films.slots)
    assert len({f.patient for f in films.films}) == 3
    for film in films.films:
        assert film.image.read().shape == film.size_hw


def test_a_prepared_film_holds_the_letterboxed_pixels_and_corners() -> None:
    source = synthetic_film()
    vertebrae = vertebrae_from_sacrum(source.corners_xy[:2])
    film = plain_film("a", vertebrae, source.size_hw, pixels=source.pixels)
    prepared = prepare_film(film, SLOTS, (64, 64))
    np.testing.assert_array_equal(prepared.image, prepared.letterbox.apply(source.pixels))
    np.testing.assert_allclose(prepared.letterbox.to_film(prepared.corners_xy[:2]), source.corners_xy[:2])
    assert np.isnan(prepared.corners_xy[2]).all()
    np.testing.assert_array_equal(prepared.present, [True, True, False])


def test_a_vertebra_without_valid_corners_is_present_and_one_outside_the_slots_is_not() -> None:
    aside = replace(square(1, 0, 0), corners_xy=np.full((4, 2), np.nan))
    prepared = prepare_film(plain_film("a", (square(0, 5, 5), aside, square(7, 0, 0))), SLOTS, (32, 32))
    np.testing.assert_array_equal(prepared.present, [True, True, False])
    np.testing.assert_array_equal(np.isnan(prepared.corners_xy).all(axis=(1, 2)), [False, True, True])


def test_many_films_are_prepared_in_their_order_and_counted() -> None:
    films = [plain_film(f"f{i}") for i in range(9)]
    done: list[int] = []
    prepared = prepare_films(films, SLOTS, (32, 32), on_film=lambda: done.append(1))
    assert [p.film.film_id for p in prepared] == [f.film_id for f in films]
    assert len(done) == 9


def test_a_film_whose_pixels_are_of_another_size_than_announced_is_refused() -> None:
    film = replace(plain_film("a"), size_hw=(50, 50))
    with pytest.raises(DataError, match=r"the film is \(100, 80\)"):
        prepare_film(film, SLOTS, (32, 32))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_film_cut_off_in_the_middle_of_its_file_cannot_be_read(tmp_path: Path, suffix: str) -> None:
    films = tmp_path / f"whole.{suffix}"
    assert cv2.imwrite(str(films), synthetic_film().pixels)
    assert FileImage(films).read().shape == synthetic_film().size_hw
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(films.read_bytes()[: films.stat().st_size // 2])
    with pytest.raises(DataError, match=f"cut.{suffix}: not an image that can be read"):
        FileImage(cut).read()


def test_a_missing_film_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: cannot be opened"):
        FileImage(tmp_path / "gone.png").read()
