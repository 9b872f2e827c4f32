"""Films of several readers are matched by their pixels; what does not match, or contradicts, is listed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, square

from spondylo_ml.data.films import FileFinding, FilmSet
from spondylo_ml.data.reader_study import (
    LABELLED,
    NO_FILM,
    NOT_LABELLED,
    OTHER_PIXELS,
    match_readers,
)
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Film, SlotRange
from spondylo_ml.spacing import Spacing


def film(name: str, grey: int, shift: float = 0.0, /, **changes: object) -> Film:
    """A film whose pixels all have one grey level, with one labelled body."""
    pixels = np.full((100, 80), grey, dtype=np.uint8)
    made = plain_film(name, (square(1, 20 + shift, 60),), pixels=pixels)
    return replace(made, **changes)  # type: ignore[arg-type]


def dataset(*films: Film) -> FilmSet:
    return FilmSet("made", "made", films, SlotRange(0, 6))


def test_films_are_matched_by_their_pixels_whatever_their_name_and_order() -> None:
    first = dataset(film("one", 1), film("two", 2))
    second = dataset(film("zwei", 2, 5.0), film("eins", 1, 3.0))
    study = match_readers([first, second])
    assert study.readers == ("A", "B")
    assert [[f.film_id for f in row] for row in study.films] == [["one", "one"], ["two", "two"]]
    assert [[(f.vertebrae or ())[0].corners_xy[0, 0] for f in row] for row in study.films] == [[20, 23], [20, 25]]
    assert [f.film_id for f in study.of("B")] == ["one", "two"]
    assert (study.incomplete, study.remarks, study.facings) == ((), (), ())


def test_films_that_not_all_readers_labelled_are_listed_with_the_reason() -> None:
    first = dataset(film("common", 1), film("alone", 2), film("plain", 3), film("changed", 4))
    second = dataset(film("common", 1), replace(film("plain", 3), vertebrae=None), film("changed", 5))
    study = match_readers([first, second])
    assert [row[0].film_id for row in study.films] == ["common"]
    assert study.incomplete == (
        ("alone", (LABELLED, NO_FILM)),
        ("plain", (LABELLED, NOT_LABELLED)),
        ("changed", (LABELLED, OTHER_PIXELS)),
        ("changed", (OTHER_PIXELS, LABELLED)),
    )


def test_a_body_free_film_is_labelled_and_counts() -> None:
    empty = replace(film("one", 1), vertebrae=())
    assert match_readers([dataset(film("one", 1)), dataset(empty)]).films[0][1].vertebrae == ()


def test_no_common_film_is_an_error_that_says_what_each_reader_has() -> None:
    with pytest.raises(DataError, match=r"no film was labelled by all readers: reader A: 1 film\(s\), 1 with") as e:
        match_readers([dataset(film("one", 1)), dataset(film("one", 2))])
    assert "1 with labels. 2 film(s) have the same name in two datasets, but other pixels" in str(e.value)


def test_a_film_that_one_reader_labelled_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="reader B: x and y show the same film, and both have labels: keep one of them"):
        match_readers([dataset(film("one", 1)), dataset(film("x", 1), film("y", 1))])
    unlabelled_copy = replace(film("x", 1), vertebrae=None)
    study = match_readers([dataset(film("one", 1)), dataset(unlabelled_copy, film("y", 1))])
    assert study.films[0][1].labelled


def test_one_dataset_is_an_error() -> None:
    with pytest.raises(DataError, match=r"1 dataset\(s\) given: give those of 2 to 26 readers"):
        match_readers([dataset(film("one", 1))])


def test_what_one_dataset_states_holds_for_all_and_what_contradicts_is_unknown() -> None:
    spacing, other = Spacing(0.2, 0.2, "header"), Spacing(0.3, 0.3, "header")
    rounded = Spacing(0.20001, 0.2, "table")
    unknown = {"facing": Facing.UNKNOWN, "spacing": None}
    first = dataset(*(film(f"f{i}", i, spacing=spacing) for i in range(3)))
    second = dataset(
        film("f0", 0, **unknown), film("f1", 1, spacing=other, facing=Facing.RIGHT), film("f2", 2, spacing=rounded)
    )
    study = match_readers([first, second])
    assert [[f.spacing for f in row] for row in study.films] == [[spacing] * 2, [None] * 2, [spacing] * 2]
    assert [row[1].facing for row in study.films] == [Facing.LEFT, Facing.UNKNOWN, Facing.LEFT]
    assert study.facings == (("f1", ("left", "right")),)
    (remark,) = study.remarks
    assert remark.startswith("1 film(s) have different pixel spacings")
    assert match_readers([second, first]).films[0][0].spacing == spacing


def test_a_pixel_aspect_that_contradicts_another_is_unknown() -> None:
    given = {"aspect_given": True, "pixel_aspect": 0.8}
    stated = dataset(film("one", 1, **given))
    assert match_readers([dataset(film("one", 1)), stated]).films[0][0].pixel_aspect == 0.8
    contradicting = dataset(film("one", 1, aspect_given=True, pixel_aspect=0.9))
    assert match_readers([contradicting, stated]).films[0][0].pixel_aspect is None


def test_films_of_one_patient_in_any_dataset_stay_together() -> None:
    first = dataset(*(film(f"f{i}", i) for i in range(3)))
    second = dataset(film("a", 0, patient="p"), film("b", 1), film("c", 2, patient="p"))
    patients = [row[0].patient for row in match_readers([first, second]).films]
    assert patients == ["f0", "f1", "f0"]


def test_levels_named_by_assumption_are_a_remark() -> None:
    assumed = film("one", 1, levels_from="the lowest vertebra is S1 (assumed)")
    (remark,) = match_readers([dataset(film("one", 1)), dataset(assumed)]).remarks
    assert remark.startswith("reader B: 1 film(s) have labels without names of levels")


def test_a_damaged_label_is_listed_with_what_is_wrong_and_one_of_no_film_is_counted() -> None:
    bad = (FileFinding("b.png", "has 11 values", alias="two"), FileFinding("c.png", "has 10 values", alias="three"))
    second = replace(dataset(film("one", 1)), bad_files=bad)
    study = match_readers([dataset(film("one", 1), film("two", 2)), second])
    assert study.incomplete == (("two", (LABELLED, "has 11 values")),)
    assert study.remarks == (
        "1 bad file(s) are of no film that another reader has: they are in no number and no list here",
    )


def test_pixels_of_different_shapes_are_remarked_on_and_count_as_unknown() -> None:
    stated = [replace(film("one", 1), pixel_aspect=aspect, aspect_given=True) for aspect in (1.0, 1.05)]
    study = match_readers([dataset(one) for one in stated])
    assert [f.pixel_aspect for f in study.films[0]] == [None, None]
    assert study.remarks == (
        "1 film(s) have pixels of different shapes in the datasets: no slips, grades or angles on them",
    )
    unstated = replace(film("one", 1), pixel_aspect=1.05)
    same = match_readers([dataset(stated[0]), dataset(unstated)])
    assert (same.films[0][0].pixel_aspect, same.remarks) == (1.0, ())


def test_drafts_that_nobody_corrected_are_remarked_on() -> None:
    draft = film("one", 1, reader="draft of unet")
    study = match_readers([dataset(film("one", 1)), dataset(draft)])
    assert study.remarks == (
        "reader B: 1 film(s) are drafts of a model that nobody corrected: their corners are the model's",
    )
