"""Parts by patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.data.split import parts_in_words, split_by_patient
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film

patients = st.lists(st.integers(0, 30), min_size=12, max_size=60).filter(lambda p: len(set(p)) >= 5)


def films_of(names: Sequence[object]) -> list[Film]:
    """A film for each patient named."""
    return [plain_film(f"film-{i}", patient=f"p{name}") for i, name in enumerate(names)]


def parts_of(films: Sequence[Film]) -> dict[str, str | None]:
    return {film.film_id: film.split for film in films}


@given(patients, st.integers(0, 100))
def test_no_patient_is_ever_in_two_parts(names: list[int], seed: int) -> None:
    films = films_of(names)
    try:
        out = split_by_patient(films, 0.15, 0.1, seed)
    except DataError:
        return  # a patient with nearly all the films may leave none to train on, which is said
    where = defaultdict(set)
    for film in out:
        where[film.patient].add(film.split)
    assert all(len(parts) == 1 for parts in where.values())
    assert {f.split for f in out} == {"train", "val", "test"}


@given(patients, st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_parts_do_not_depend_on_the_films_order(names: list[int], seed: int, random: object) -> None:
    films = films_of(names)
    shuffled = films.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    try:
        first = split_by_patient(films, 0.2, 0.1, seed)
    except DataError:
        return
    assert parts_of(split_by_patient(shuffled, 0.2, 0.1, seed)) == parts_of(first)


def test_films_stay_in_their_order_and_nothing_but_the_part_changes() -> None:
    films = films_of(range(20))
    out = split_by_patient(films, 0.2, 0.1, 0)
    assert [f.film_id for f in out] == [f.film_id for f in films]
    assert [f.patient for f in out] == [f.patient for f in films]


def test_a_hundred_patients_are_split_by_the_fractions() -> None:
    out = split_by_patient(films_of(range(100)), 0.15, 0.1, 3)
    assert Counter(f.split for f in out) == {"train": 75, "val": 15, "test": 10}


def test_the_seed_decides_the_parts() -> None:
    films = films_of(range(40))
    first = parts_of(split_by_patient(films, 0.2, 0.1, 0))
    assert parts_of(split_by_patient(films, 0.2, 0.1, 0)) == first
    assert parts_of(split_by_patient(films, 0.2, 0.1, 1)) != first


def test_no_test_split_without_a_test_fraction() -> None:
    assert Counter(f.split for f in split_by_patient(films_of(range(10)), 0.2, 0.0, 0)) == {"train": 8, "val": 2}


@pytest.mark.parametrize("count", range(3, 9))
def test_a_tiny_set_has_something_to_train_and_to_validate_on(count: int) -> None:
    parts = Counter(f.split for f in split_by_patient(films_of(range(count)), 0.15, 0.1, 0))
    assert parts["train"] >= 1
    assert parts["val"] >= 1
    assert sum(parts.values()) == count


def test_two_patients_are_enough_for_train_and_val() -> None:
    for seed in range(5):
        parts = Counter(f.split for f in split_by_patient(films_of(["a", "a", "b"]), 0.15, 0.1, seed))
        assert parts in ({"train": 2, "val": 1}, {"train": 1, "val": 2})


@pytest.mark.parametrize("sizes", [(1, 1, 1, 9), (9, 1, 1, 1), (1, 9, 1, 1, 1), (5, 5, 5)])
def test_a_patient_with_nearly_all_films_leaves_no_part_empty(sizes: tuple[int, ...]) -> None:
    names = [name for name, count in enumerate(sizes) for _ in range(count)]
    for seed in range(10):
        out = split_by_patient(films_of(names), 0.15, 0.1, seed)
        assert {film.split for film in out} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("names", "what"), [(["a"], "one labelled film"), (["same"] * 9, "9 labelled films of one patient")]
)
def test_films_of_one_patient_are_an_error_that_says_what_to_do(names: list[str], what: str) -> None:
    message = f"^{what} cannot be split into train and val: .*Give labelled films of at least two patients.*films.csv"
    with pytest.raises(DataError, match=message):
        split_by_patient(films_of(names), 0.15, 0.1, 0)


def test_few_labelled_films_among_many_unlabelled_ones_reach_both_parts() -> None:
    unlabelled = [plain_film(f"u{i}", None, patient=f"u{i}") for i in range(100)]
    for seed in range(5):
        out = split_by_patient([*unlabelled, *films_of("abcdef")], 0.15, 0.1, seed)
        assert Counter(f.split for f in out if f.labelled) == {"train": 4, "val": 1, "test": 1}


def test_parts_are_reported_with_their_patients() -> None:
    out = split_by_patient(films_of(["a", "a", "a", "b"]), 0.3, 0.0, 0)
    counts = {part: len([f for f in out if f.split == part]) for part in ("train", "val")}
    assert parts_in_words(out) == (
        f"train {counts['train']} film(s) of 1 patient(s), val {counts['val']} film(s) of 1 patient(s), "
        "test 0 film(s) of 0 patient(s)"
    )


def test_unlabelled_films_do_not_count_as_something_to_train_on() -> None:
    films = [plain_film("a", None, split="train"), plain_film("b", split="val"), plain_film("c", split="val")]
    message = "3 films of 3 patients leave no labelled film for train: .*where the dataset has parts of its own"
    with pytest.raises(DataError, match=message):
        split_by_patient(films, 0.15, 0.1, 0)


def test_a_dataset_keeps_its_own_split() -> None:
    films = [plain_film(f"{part}-{i}", split=part) for part in ("train", "val", "test") for i in range(4)]
    for seed in range(3):
        assert split_by_patient(films, 0.5, 0.3, seed) == tuple(films)


def test_a_split_with_a_patient_in_two_parts_is_an_error_that_names_the_patient() -> None:
    films = [
        plain_film("a", patient="p1", split="train"),
        plain_film("b", patient="p2", split="train"),
        plain_film("c", patient="p1", split="val"),
    ]
    with pytest.raises(DataError, match=r"own split: p1 \(a, c\)\.") as message:
        split_by_patient(films, 0.15, 0.1, 0)
    assert "own split: p1. A network" in message.value.in_run()


def test_real_shares_are_near_what_was_asked_for_with_several_films_a_patient() -> None:
    names = np.random.default_rng(0).integers(0, 237, 481)
    parts = Counter(f.split for f in split_by_patient(films_of(names.tolist()), 0.15, 0.1, 0))
    assert 72 <= parts["val"] <= 80  # 15 % of 481, and at most one patient's films too many
    assert 48 <= parts["test"] <= 56


def test_films_to_evaluate_may_be_few_and_unlabelled() -> None:
    films = [plain_film(name, None) for name in "ab"]
    with pytest.raises(DataError, match="none of the 2 films has labels: there is nothing to train on"):
        split_by_patient(films, 0.5, 0.0, 0)
    assert len(split_by_patient(films, 0.5, 0.0, 0, for_training=False)) == 2


def test_patients_who_share_an_exposure_go_to_the_same_split() -> None:
    films = films_of(range(40))
    before = split_by_patient(films, 0.2, 0.1, 0)
    first, second = (next(i for i, f in enumerate(before) if f.split == part) for part in ("val", "train"))
    third = next(i for i, f in enumerate(before) if f.split == "test")
    after = split_by_patient(films, 0.2, 0.1, 0, [[first, second], [first, third]])
    joined = {films[i].patient for i in (first, second, third)}
    assert {f.split for f in after if f.patient in joined} == {"train"}
    assert [f for f in after if f.patient not in joined] == [f for f in before if f.patient not in joined]


@pytest.mark.parametrize("seed", range(8))
def test_a_film_without_a_part_goes_with_its_patient_and_with_its_exposure(seed: int) -> None:
    """Film 8 is a second film of the patient in val, film 9 shows the exposure of a film in train."""
    films = [replace(film, split="train") for film in films_of(range(6))]
    films += [replace(film, film_id=f"v{i}", split="val") for i, film in enumerate(films_of([6, 7]))]
    films += [plain_film("second", patient="p6"), plain_film("copy", patient="p20"), plain_film("new", patient="p21")]
    parts = parts_of(split_by_patient(films, 0.3, 0.3, seed, [[0, 9]]))
    assert (parts["second"], parts["copy"]) == ("val", "train")
