"""Folds by patient, alike in grade and source."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from spondylo_ml.clinical.measure import measure_film
from spondylo_ml.config.clinical import ClinicalConfig
from spondylo_ml.data.split import people
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

    A patient's films are in one fold. Among folds, the films' worst Meyerding grade and their source are spread as
    evenly as whole patients allow; where a stratum has fewer films than there are folds, some folds have none of it.

    Args:
        same: places of films that show the same exposure, group by group: patients who share one are one person.

    Raises:
        DataError: fewer patients than folds.
    """
    person = {name: min(names) for names in people(films, same) for name in names}
    patients = [person[film.patient] for film in films]
    if len(set(patients)) < count:
        raise DataError(
            f"{count} folds need as many patients; the films for training and validation have {len(set(patients))}"
        )
    strata = [stratum(film, rules or ClinicalConfig()) for film in films]
    # By name, so that the folds depend neither on the order of the films nor on that of a dataset's files.
    order = np.argsort(np.array([f"{who}\0{film.film_id}" for who, film in zip(patients, films, strict=True)]))
    labels = np.unique(strata, return_inverse=True)[1]
    out = np.empty(len(films), dtype=int)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        dealt = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(
            order, labels[order], np.array(patients)[order]
        )
        for index, (_, held) in enumerate(dealt):
            out[order[held]] = index
    if len(set(out.tolist())) < count:
        raise DataError(f"{count} folds of {len(films)} films leave one without a film: ask for fewer folds")
    return [int(fold) for fold in out]


def splits_by_fold(
    films: Sequence[Film], count: int, seed: int, same: Sequence[Sequence[int]] = ()
) -> list[tuple[Film, ...]]:
    """A set of parts for each fold: of the labelled films outside the test part, its own are for validation.

    Args:
        films: with their parts; those of the test part, and unlabelled ones, keep theirs.
        same: as in `fold_of_each`, places in `films`.

    Raises:
        DataError: fewer patients than folds.
    """
    places = [index for index, film in enumerate(films) if film.split != "test" and film.labelled]
    rank = {place: index for index, place in enumerate(places)}
    groups = [[rank[place] for place in group if place in rank] for group in same]
    fold = fold_of_each([films[place] for place in places], count, seed, groups)
    made = []
    for index in range(count):
        parts = {place: "val" if own == index else "train" for place, own in zip(places, fold, strict=True)}
        made.append(tuple(replace(film, split=parts[i]) if i in parts else film for i, film in enumerate(films)))
    return made


def stratum(film: Film, rules: ClinicalConfig) -> str:
    """The film's source and the worst grade of its levels; `none` where no grade can be measured."""
    grades: list[int] = []
    if film.vertebrae and film.facing is not Facing.NONE:
        grades = [level.grade for level in measure_film(film, rules).levels if level.grade is not None]
    return f"{film.source} {max(grades) if grades else NO_GRADE}"
