"""Folds: by patient, spread over grade and source, whatever the order of the films."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.folds import fold_of_each, splits_by_fold, stratum
from spondylo_ml.data.split import require_parts
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, Vertebra


def spine(name: str, slip: float, patient: str | None = None, source: str = "made") -> Film:
    """L5 and, 40 px above it, L4 that has slipped to the left by a share of the endplate."""
    lower = np.array([[30.0, 80.0], [70.0, 80.0], [30.0, 110.0], [70.0, 110.0]])
    upper = lower + np.array([-40.0 * slip, -40.0])
    film = plain_film(name, (Vertebra(1, lower), Vertebra(2, upper)), (160, 120), patient=patient)
    return replace(film, source=source)


def test_an_unlabelled_film_may_show_that_two_names_are_one_person() -> None:
    """A film of P1 and an unlabelled one of P2 are the same exposure: their labelled films stay together."""
    films = [spine(f"f{i}", 0.0, patient=f"P{i}") for i in range(9)]
    linked = [*films, replace(films[1], film_id="twin", vertebrae=None)]
    for seed in range(5):
        for fold in splits_by_fold(linked, 3, seed, same=[(0, 9)]):
            assert len({fold[i].split for i in (0, 1, 9)}) == 1


def test_the_stratum_is_source_and_worst_grade() -> None:
    rules = ClinicalConfig()
    assert stratum(spine("a", 0.0), rules) == "made 0"
    slipped = spine("b", 0.4, source="clinic")
    assert max(level.grade or 0 for level in measure_film(slipped, rules).levels) == 2
    assert stratum(slipped, rules) == "clinic 2"
    assert stratum(plain_film("c"), rules) == "made none"


def test_each_fold_has_its_share_of_each_stratum() -> None:
    films = [
        spine(f"{source}{slip}{i}", slip, source=source)
        for source in ("one", "two")
        for slip in (0.0, 0.4)
        for i in range(8)
    ]
    folds = fold_of_each(films, 4, seed=0)
    rules = ClinicalConfig()
    counts = Counter((fold, stratum(film, rules)) for fold, film in zip(folds, films, strict=True))
    assert set(counts.values()) == {2}
    assert len(counts) == 16


def test_folds_resplit_films_except_test_and_unlabelled_ones() -> None:
    parts = ("train", "train", "val", "val", "train", "train", "test", "test", "val", "val", "train", "train")
    films = [replace(spine(f"f{i}", 0.0, patient=f"p{i // 2}"), split=part) for i, part in enumerate(parts)]
    films.append(plain_film("bare", None, split="train"))
    splits = splits_by_fold(films, 3, 0, same=[(0, 4)])
    assert [[film.film_id for film in fold] for fold in splits] == [[film.film_id for film in films]] * 3
    validation = [film.film_id for fold in splits for film in fold if film.split == "val"]
    assert sorted(validation) == sorted(film.film_id for film in films if film.split != "test" and film.labelled), (
        "each once"
    )
    for fold in splits:
        of = {film.film_id: film.split for film in fold}
        assert (of["f6"], of["f7"], of["bare"]) == ("test", "test", "train")
        assert of["f0"] == of["f1"] == of["f4"] == of["f5"], "one exposure, hence one person"
        assert of["f2"] == of["f3"], "a patient is not torn"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=12, max_size=30), st.integers(0, 5), st.randoms())
def test_no_patient_is_in_two_folds_and_the_order_of_films_does_not_matter(
    patients: list[int], seed: int, random: object
) -> None:
    films = [spine(f"f{i}", 0.0, patient=f"p{p}") for i, p in enumerate([*range(4), *patients])]
    folds = fold_of_each(films, 3, seed)
    assert set(folds) == {0, 1, 2}
    by_patient: dict[str, set[int]] = {}
    for film, fold in zip(films, folds, strict=True):
        by_patient.setdefault(film.patient, set()).add(fold)
    assert all(len(numbers) == 1 for numbers in by_patient.values())
    shuffled = list(range(len(films)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    repeated = fold_of_each([films[i] for i in shuffled], 3, seed)
    assert [folds[i] for i in shuffled] == repeated


def test_another_seed_gives_other_folds() -> None:
    films = [spine(f"f{i}", 0.0) for i in range(20)]
    assert fold_of_each(films, 4, 0) != fold_of_each(films, 4, 1)


def test_patients_who_share_an_exposure_are_in_one_fold() -> None:
    films = [spine(f"f{i}", 0.0) for i in range(12)]
    for seed in range(5):
        folds = fold_of_each(films, 4, seed, same=[(0, 5), (5, 11)])
        assert folds[0] == folds[5] == folds[11]
    with pytest.raises(DataError, match="2 folds need as many patients"):
        fold_of_each(films[:2], 2, 0, same=[(0, 1)])


def test_more_folds_than_patients_are_refused() -> None:
    films = [spine("a", 0.0, "p"), spine("b", 0.0, "p"), spine("c", 0.0, "q")]
    with pytest.raises(DataError, match=r"3 folds need as many patients; .* have 2"):
        fold_of_each(films, 3, 0)


def test_films_without_labels_go_with_their_patient() -> None:
    """Else a patient with labelled and unlabelled films would be in two parts of a fold."""
    labelled = [replace(spine(f"f{i}", 0.0, patient=f"p{i}"), split="train") for i in range(8)]
    bare = [plain_film(f"b{i}", None, patient=f"p{i}", split="train") for i in range(8)]
    stranger = plain_film("stranger", None, patient="p9", split="val")
    for fold in splits_by_fold([*labelled, *bare, stranger], 4, 0):
        require_parts(fold)
        of = {film.film_id: film.split for film in fold}
        assert [of[f"b{i}"] for i in range(8)] == [of[f"f{i}"] for i in range(8)]
        assert sum(of[f"f{i}"] == "val" for i in range(8)) == 2
        assert of["stranger"] == "val"
