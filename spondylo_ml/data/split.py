"""Parts for training, validation and test: by patient, never by film."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spondylo_ml.errors import DataError
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
    parts = _deal(undealt, val_fraction, test_fraction, seed)
    for patients in joined([{films[i].patient for i in group} for group in same]):
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
            raise DataError(
                f"{len(films)} films of {len({f.patient for f in films})} patients leave no labelled film for "
                f"{part}: give more films, or change data.val_fraction and data.test_fraction"
            )


def joined(groups: Sequence[set[str]]) -> list[set[str]]:
    """Groups that share a member become one."""
    out: list[set[str]] = []
    for group in groups:
        touching = [known for known in out if known & group]
        out = [known for known in out if not known & group] + [group.union(*touching)]
    return out


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
    parts: dict[str, str] = {}
    for patient in patients:
        part = next((name for name, count in wanted.items() if count > 0), "train")
        parts[patient] = part
        if part in wanted:
            wanted[part] -= by_patient[patient]
    return parts


def _require_patients_apart(films: Sequence[Film]) -> None:
    parts: dict[str, set[str]] = defaultdict(set)
    for film in films:
        parts[film.patient].add(str(film.split))
    torn = sorted(patient for patient, where in parts.items() if len(where) > 1)
    if torn:
        raise DataError(
            f"{len(torn)} patient(s) have films in two parts of the dataset's own split: {', '.join(torn[:5])}. "
            "A network would be judged on patients that it has seen; mend the folders"
        )
