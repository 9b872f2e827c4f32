"""Cross-validation folds by patient, balanced in grade and source."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config.clinical import ClinicalConfig
from spondylo_ml.data.split import patients_by_person
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Facing, Film

NO_GRADE = "none"


def fold_of_each(
    films: Sequence[Film],
    count: int,
    seed: int,
    same: Sequence[Sequence[int]] = (),
    rules: ClinicalConfig | None = None,
) -> list[int]:
    """The fold, from 0, in which each film is for validation.

    All films of a patient are in one fold. The films' worst Meyerding grade and their source are distributed as evenly
    as whole patients allow; a stratum with fewer films than folds is missing from some folds.

    Args:
        same: indices of films that show the same exposure, group by group; see `patients_by_person`.

    Raises:
        DataError: fewer patients than folds.
    """
    person = _person_of_patient(films, same)
    patients = [person[film.patient] for film in films]
    if len(set(patients)) < count:
        raise DataError(
            f"{count} folds need as many patients; the films for training and validation have {len(set(patients))}"
        )
    strata = [stratum(film, rules or ClinicalConfig()) for film in films]
    # Sorted by name, so that the folds do not depend on the order of the films.
    order = np.argsort(np.array([f"{who}\0{film.film_id}" for who, film in zip(patients, films, strict=True)]))
    labels = np.unique(strata, return_inverse=True)[1]
    folds = np.empty(len(films), dtype=int)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        splits = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(
            order, labels[order], np.array(patients)[order]
        )
        for index, (_, validation) in enumerate(splits):
            folds[order[validation]] = index
    if len(set(folds.tolist())) < count:
        raise DataError(f"{count} folds of {len(films)} films leave one without a film: ask for fewer folds")
    return [int(fold) for fold in folds]


def splits_by_fold(
    films: Sequence[Film], count: int, seed: int, same: Sequence[Sequence[int]] = ()
) -> list[tuple[Film, ...]]:
    """The films of each fold: of the labelled films outside the test part, those of the fold are for validation.

    Args:
        films: with their parts; those of the test part keep theirs. Films without labels go with their patient, and
            keep their part if none of the patient's films has labels.
        same: as in `fold_of_each`, indices in `films`.

    Raises:
        DataError: fewer patients than folds.
    """
    # Persons are found on all films: an unlabelled film may be what two names have in common.
    person = _person_of_patient(films, same)
    labelled = [replace(film, patient=person[film.patient]) for film in films if film.split != "test" and film.labelled]
    folds = fold_of_each(labelled, count, seed)
    fold_of_person = {film.patient: fold for film, fold in zip(labelled, folds, strict=True)}
    return [
        tuple(_in_fold(film, fold_of_person.get(person[film.patient]), number) for film in films)
        for number in range(count)
    ]


def _person_of_patient(films: Sequence[Film], same: Sequence[Sequence[int]]) -> dict[str, str]:
    """The first name, by the alphabet, of the person that each patient is."""
    return {name: min(names) for names in patients_by_person(films, same) for name in names}


def _in_fold(film: Film, fold: int | None, number: int) -> Film:
    """The film with its part in a fold, given the fold in which its patient is for validation."""
    if film.split == "test" or fold is None:
        return film
    return replace(film, split="val" if fold == number else "train")


def stratum(film: Film, rules: ClinicalConfig) -> str:
    """The film's source and the worst grade of its levels; `none` if no grade can be measured."""
    grades: list[int] = []
    if film.vertebrae and film.facing is not Facing.NONE:
        grades = [level.grade for level in measure_film(film, rules).levels if level.grade is not None]
    return f"{film.source} {max(grades) if grades else NO_GRADE}"
