"""Parse the file names of BUU-LSPINE, whose films are also part of other datasets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spondylo_ml.landmarks import OLDEST_YEARS

_NAME = re.compile(r"^(?P<number>\d+)-(?P<sex>[FM])-(?P<age>\d{3})Y(?P<view>[01])(?P<rest>.*)$")


@dataclass(frozen=True)
class BuuName:
    """`<number>-<F or M>-<age>Y<1 or 0>`, such as 0001-F-050Y1.

    Attributes:
        patient: group of the patient's films.
        sex: F or M.
        age_years: age when the film was taken; None if the name states an impossible age.
        view: "LA" (lateral, Y1) or "AP" (Y0).
        rest: suffix added by another dataset, or empty.
    """

    patient: str
    sex: str
    age_years: int | None
    view: str
    rest: str


def buu_name(stem: str) -> BuuName | None:
    """The parts of a film's name; None for any other name."""
    parts = _NAME.match(stem)
    if parts is None:
        return None
    view = "LA" if parts["view"] == "1" else "AP"
    age = int(parts["age"])
    plausible_age = age if age <= OLDEST_YEARS else None
    return BuuName(f"buu-{parts['number']}", parts["sex"], plausible_age, view, parts["rest"])
