"""Which films of a patient are compared, and which are not, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from spondylo_ml.data.film_files import collect_films
from spondylo_ml.data.follow_up import ALONE, NO_COUNTERPART, FilmOfPatient, Position, film_pairs
from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.errors import FileError


def film(name: str, visit: int | None = None, position: str = "", patient: str = "p", table: str = "") -> FilmOfPatient:
    return FilmOfPatient(name, patient, visit, Position(position), table)


def pairs(*films: FilmOfPatient) -> list[tuple[str, str, str]]:
    return [(pair.kind.value, pair.before.film_id, pair.after.film_id) for pair in film_pairs(films).pairs]


def reasons(*films: FilmOfPatient) -> dict[str, str]:
    return {one.film_id: one.reason for one in film_pairs(films).not_compared}


def test_flexion_and_extension_of_one_visit_are_a_pair() -> None:
    films = (film("f", position="flexion"), film("n", position="neutral"), film("e", position="extension"))
    assert pairs(*films) == [("flexion-extension", "e", "f")]
    assert reasons(*films) == {"n": NO_COUNTERPART}
    assert reasons(films[0]) == {"f": ALONE}
    assert reasons(film("a", 1, "flexion"), film("b", 2, "extension")) == {"a": NO_COUNTERPART, "b": NO_COUNTERPART}
    assert pairs(film("f", 1, "flexion"), film("e", 2, "extension")) == []


def test_visits_are_compared_with_the_one_before_and_the_last_with_the_first() -> None:
    films = (film("c", 9), film("a", 1), film("b", 4), film("n", 9, "neutral"))
    assert pairs(*films) == [("follow-up", "a", "b"), ("follow-up", "b", "c"), ("follow-up", "a", "c")]
    assert set(reasons(*films)) == {"n"}


def test_other_patients_and_other_tables_are_never_compared() -> None:
    assert pairs(film("a", 1), film("b", 2, patient="q")) == []
    assert pairs(film("a", 1, table="x"), film("b", 2, table="y")) == []
    assert reasons(film("a", 1, patient="")) == {"a": "no patient is stated"}


def test_what_is_ambiguous_is_not_compared() -> None:
    twice = (film("a", 1), film("b", 1), film("c", 2))
    assert pairs(*twice) == []
    assert reasons(*twice)["a"] == "2 films of this patient have the same visit and position (visit 1)"
    assert reasons(film("a", 1), film("b", 2), film("c"))["c"] == (
        "no visit is stated, unlike on other films of this patient"
    )


def test_films_that_state_neither_are_left_alone() -> None:
    assert film_pairs([film("a"), film("b"), film("c", patient="")]) == film_pairs([])


def test_films_csv_says_visit_and_position(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(b"")
    table = tmp_path / "films.csv"
    table.write_text("filename,patient,visit,position\na,Roe,2.0,Flexion\nb,,,\n")
    first, second = collect_films([str(tmp_path)]).films
    assert first.of_patient == film(first.film_id, 2, "flexion", pseudonym("Roe"), first.of_patient.table)  # type: ignore[arg-type]
    assert (second.of_patient.patient, second.of_patient.visit) == ("", None)
    table.write_text("filename,patient,visit\na,Roe,2021-03-04\n")
    with pytest.raises(FileError, match="row 2: visit must be a whole number from 0 to 999 that orders the patient's"):
        collect_films([str(tmp_path)])
    table.write_text("filename,patient,position\na,Roe,bent\n")
    with pytest.raises(FileError, match="row 2: position must be one of neutral, flexion, extension, or left out"):
        collect_films([str(tmp_path)])
