"""Split films into training, validation and test parts, by patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spondylo_ml.data.components import connected_groups
from spondylo_ml.data.films import terminal_name
from spondylo_ml.errors import DataError, NamedFilmsError
from spondylo_ml.landmarks import Film

PARTS = ("train", "val", "test")


def split_by_patient(
    films: Sequence[Film],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    same: Sequence[Sequence[int]] = (),
    for_training: bool = True,
) -> tuple[Film, ...]:
    """`assign_parts`, checked by `require_parts`."""
    split = assign_parts(films, val_fraction, test_fraction, seed, same)
    require_parts(split, for_training)
    return split


def assign_parts(
    films: Sequence[Film],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    same: Sequence[Sequence[int]] = (),
) -> tuple[Film, ...]:
    """The films with their parts assigned; a dataset's own split is kept.

    Patients are shuffled by `seed` and assigned until each part has its share of the films. The result depends on the
    patients' names, not on the order of the films.

    Args:
        same: indices of films that show the same exposure, group by group. Patients who share one (see
            `patients_by_person`) go to the same part: the one that a film of theirs has in the dataset's own split,
            else the first of train, val, test to which one of them was assigned.
    """
    groups = patients_by_person(films, same)
    given = {film.patient: film.split for film in reversed(films) if film.split}
    parts = {
        patient: min((given[name] for name in names & given.keys()), key=PARTS.index)
        for names in groups
        if names & given.keys()
        for patient in names
    }
    unassigned = [film for film in films if film.patient not in parts]
    labelled = {film.patient for film in unassigned if film.labelled}
    dealt: dict[str, str] = {}
    # Patients with labels first, so that each part gets some of them if there are enough.
    for group in (labelled, {film.patient for film in unassigned} - labelled):
        dealt |= _part_of_each(
            [film for film in unassigned if film.patient in group], val_fraction, test_fraction, seed
        )
    for names in groups:
        patients = names & dealt.keys()
        first = min((dealt[patient] for patient in patients), key=PARTS.index, default="")
        dealt |= {patient: first for patient in patients}
    parts |= dealt
    return tuple(film if film.split else replace(film, split=parts[film.patient]) for film in films)


def require_parts(films: Sequence[Film], for_training: bool = True) -> None:
    """Raise `DataError` if a patient has films in two parts or, for training, train or val has no labelled film."""
    _require_patients_apart(films)
    labelled = {film.split for film in films if film.labelled}
    for part in ("train", "val") if for_training else ():
        if part not in labelled:
            raise DataError(_without_labels(films, part))


def _without_labels(films: Sequence[Film], part: str) -> str:
    """Message that says why a part has no labelled film, and what to do."""
    labelled = [film for film in films if film.labelled]
    patients = {film.patient for film in labelled}
    if not labelled:
        return f"none of the {len(films)} films has labels: there is nothing to train on"
    if len(patients) == 1:
        what = "one labelled film" if len(labelled) == 1 else f"{len(labelled)} labelled films of one patient"
        return (
            f"{what} cannot be split into train and val: a network would be evaluated on a patient that it was "
            "trained on. Give labelled films of at least two patients; if these already come from several, name the "
            "patients: column patient of films.csv, or patient of COCO's images"
        )
    return (
        f"{len(films)} films of {len({f.patient for f in films})} patients leave no labelled film for {part}: give "
        "more films, give each part labelled films where the dataset has parts of its own, or change "
        "data.val_fraction and data.test_fraction"
    )


def parts_in_words(films: Sequence[Film]) -> str:
    """Number of films and patients in each part, as text."""
    counts = []
    for part in PARTS:
        members = [film for film in films if film.split == part]
        counts.append(f"{part} {len(members)} film(s) of {len({film.patient for film in members})} patient(s)")
    return ", ".join(counts)


def patients_by_person(films: Sequence[Film], same: Sequence[Sequence[int]]) -> list[set[str]]:
    """The patients' names, grouped by person: patients who share an exposure are one person under several names.

    Args:
        same: indices of films that show the same exposure, group by group.
    """
    names = sorted({film.patient for film in films})
    number = {name: index for index, name in enumerate(names)}
    pairs = ((number[films[group[0]].patient], number[films[i].patient]) for group in same for i in group)
    return [{names[index] for index in group} for group in connected_groups(pairs, len(names))]


def _part_of_each(films: Sequence[Film], val_fraction: float, test_fraction: float, seed: int) -> dict[str, str]:
    """The part of each patient, by name."""
    by_patient: dict[str, int] = defaultdict(int)
    for film in films:
        by_patient[film.patient] += 1
    patients = sorted(by_patient)
    np.random.default_rng(seed).shuffle(patients)
    # At least one film for each part with a share, however small the dataset.
    targets = {
        part: max(1, round(share * len(films))) if share > 0 else 0
        for part, share in (("val", val_fraction), ("test", test_fraction))
    }
    # With two patients there is train and val, with one only train.
    others = [part for part in ("val", "test") if targets[part]]
    needed = [*others[: max(0, len(patients) - 1)], "train"]
    parts: dict[str, str] = {}
    for number, patient in enumerate(patients):
        part = next((name for name, count in targets.items() if count > 0 and name in needed), "train")
        empty = [name for name in needed if name not in parts.values()]
        if len(patients) - number <= len(empty) and part not in empty:
            part = empty[0]
        parts[patient] = part
        if part in targets:
            targets[part] -= by_patient[patient]
    return parts


def _require_patients_apart(films: Sequence[Film]) -> None:
    by_patient: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        by_patient[film.patient].append(film)
    split = sorted(name for name, theirs in by_patient.items() if len({film.split for film in theirs}) > 1)
    if split:
        examples = [f"{patient} ({', '.join(map(terminal_name, by_patient[patient][:5]))})" for patient in split[:5]]
        raise NamedFilmsError(
            *(
                f"{len(split)} patient(s) have films in two parts of the dataset's own split: {', '.join(patients)}. "
                "A network would be evaluated on patients that it was trained on; move each patient's films into one "
                "part"
                for patients in (examples, split[:5])
            )
        )
