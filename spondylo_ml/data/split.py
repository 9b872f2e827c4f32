"""Parts for training, validation and test: by patient, never by film."""

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
    """`assign_parts`, and `require_parts` of what comes out."""
    out = assign_parts(films, val_fraction, test_fraction, seed, same)
    require_parts(out, for_training)
    return out


def assign_parts(
    films: Sequence[Film],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    same: Sequence[Sequence[int]] = (),
) -> tuple[Film, ...]:
    """The films with their part filled in; a dataset's own split is kept as it is.

    Patients are shuffled by `seed` and dealt out until each part holds its share of the films, so that a
    patient with many films cannot tear one part open. Depends on the patients' names, not on the films' order.

    Args:
        same: places of films that show the same exposure, group by group. Patients who share one are one person under
            two names: should they be dealt to several parts, all their films go to the first of train, val, test.
    """
    undealt = [film for film in films if not film.split]
    labelled = {film.patient for film in undealt if film.labelled}
    parts: dict[str, str] = {}
    # Patients with labels first, so that each part gets some of them where there are enough.
    for group in (labelled, {film.patient for film in undealt} - labelled):
        parts |= _deal([film for film in undealt if film.patient in group], val_fraction, test_fraction, seed)
    for patients in people(films, same):
        dealt = patients & parts.keys()
        together = min((parts[patient] for patient in dealt), key=PARTS.index, default="")
        parts |= {patient: together for patient in dealt}
    return tuple(film if film.split else replace(film, split=parts[film.patient]) for film in films)


def require_parts(films: Sequence[Film], for_training: bool = True) -> None:
    """Raise `DataError` where one patient has films in two parts, or, for a training, a part has no labelled film."""
    _require_patients_apart(films)
    labelled = {film.split for film in films if film.labelled}
    for part in ("train", "val") if for_training else ():
        if part not in labelled:
            raise DataError(_without_labels(films, part))


def _without_labels(films: Sequence[Film], part: str) -> str:
    """Why a part has no labelled film, and what to do."""
    labelled = [film for film in films if film.labelled]
    patients = {film.patient for film in labelled}
    if not labelled:
        return f"none of the {len(films)} films has labels: there is nothing to train on"
    if len(patients) == 1:
        what = "one labelled film" if len(labelled) == 1 else f"{len(labelled)} labelled films of one patient"
        return (
            f"{what} cannot be parted into train and val: a network would be evaluated on a patient that it was "
            "trained on. Give labelled films of two patients at least; if these are of several, say so: column "
            "patient of films.csv, or patient of COCO's images"
        )
    return (
        f"{len(films)} films of {len({f.patient for f in films})} patients leave no labelled film for {part}: give "
        "more films, give each part labelled films where the dataset has parts of its own, or change "
        "data.val_fraction and data.test_fraction"
    )


def parts_in_words(films: Sequence[Film]) -> str:
    """How many films and patients each part has, and which part could not be made."""
    parts = []
    for part in PARTS:
        some = [film for film in films if film.split == part]
        parts.append(f"{part} {len(some)} film(s) of {len({film.patient for film in some})} patient(s)")
    return ", ".join(parts)


def people(films: Sequence[Film], same: Sequence[Sequence[int]]) -> list[set[str]]:
    """The patients' names, grouped by person: patients who share an exposure are one person under several names.

    Args:
        same: indices of films that show the same exposure, group by group.
    """
    names = sorted({film.patient for film in films})
    number = {name: index for index, name in enumerate(names)}
    pairs = ((number[films[group[0]].patient], number[films[i].patient]) for group in same for i in group)
    return [{names[index] for index in group} for group in connected_groups(pairs, len(names))]


def _deal(films: Sequence[Film], val_fraction: float, test_fraction: float, seed: int) -> dict[str, str]:
    by_patient: dict[str, int] = defaultdict(int)
    for film in films:
        by_patient[film.patient] += 1
    patients = sorted(by_patient)
    np.random.default_rng(seed).shuffle(patients)
    # At least one film each, however small the dataset, wherever a share was asked for.
    wanted = {
        part: max(1, round(share * len(films))) if share > 0 else 0
        for part, share in (("val", val_fraction), ("test", test_fraction))
    }
    # Two patients are enough for train and val, one for train alone.
    others = [part for part in ("val", "test") if wanted[part]]
    needed = [*others[: max(0, len(patients) - 1)], "train"]
    parts: dict[str, str] = {}
    for number, patient in enumerate(patients):
        part = next((name for name, count in wanted.items() if count > 0 and name in needed), "train")
        empty = [name for name in needed if name not in parts.values()]
        if len(patients) - number <= len(empty) and part not in empty:
            part = empty[0]
        parts[patient] = part
        if part in wanted:
            wanted[part] -= by_patient[patient]
    return parts


def _require_patients_apart(films: Sequence[Film]) -> None:
    by_patient: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        by_patient[film.patient].append(film)
    torn = sorted(patient for patient, own in by_patient.items() if len({film.split for film in own}) > 1)
    if torn:
        named = [f"{patient} ({', '.join(map(terminal_name, by_patient[patient][:5]))})" for patient in torn[:5]]
        raise NamedFilmsError(
            *(
                f"{len(torn)} patient(s) have films in two parts of the dataset's own split: {', '.join(patients)}. "
                "A network would be evaluated on patients that it was trained on; move each patient's films into one "
                "part"
                for patients in (named, torn[:5])
            )
        )
