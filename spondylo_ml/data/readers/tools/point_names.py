"""Understand the names that people give to points and vertebrae: L4_sup_ant, l4 tl, L4 superior left.

A name holds a level, a corner, or both, in either order. What could mean several things, such as L4-1 or a bare number,
is not understood: `mapping.yaml` says what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spondylo_ml.data.names import same_form
from spondylo_ml.data.readers.bodies import slot_of_level
from spondylo_ml.landmarks import CORNERS, PATIENT_CORNERS

ANY = "any"
"""Value of a corner in `mapping.yaml` if the name does not tell which corner it is."""

_LEVEL = re.compile(r"(?<![a-z0-9])(s1|l[1-5]|t1[0-2]|t[1-9]|c[67])(?![0-9])")
_FILLERS = {"corner", "point", "kp", "keypoint", "landmark", "vertebra", "vertebrae", "vertebral", "body", "level"}
_VERTICAL = {
    "superior": ("superior", "sup", "top", "upper", "cranial"),
    "inferior": ("inferior", "inf", "bottom", "bot", "lower", "caudal"),
}
_HORIZONTAL = {
    "left": ("left", "l"),
    "right": ("right", "r"),
    "anterior": ("anterior", "ant", "a", "front"),
    "posterior": ("posterior", "post", "p", "back"),
}
_LETTERS = {"superior": ("t", "s"), "inferior": ("b", "i")}
"""A single letter means top or superior, bottom or inferior; u and l are left out, since l is left too."""


@dataclass(frozen=True)
class Meaning:
    """What a name means.

    Attributes:
        slot: slot of the level; None if it names none.
        corner: one of `CORNERS` or `PATIENT_CORNERS`; None if it names none.
    """

    slot: int | None = None
    corner: str | None = None


@dataclass(frozen=True)
class PointNames:
    """What the names of a dataset mean beside those that are understood anyway; keys are in `plain` form.

    Attributes:
        names: meaning of whole names.
        levels: slots of words for levels.
        corners: corners of words for corners; None if the word does not tell which.
        ignored: names of shapes that are no vertebra.
    """

    names: Mapping[str, Meaning] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)
    corners: Mapping[str, str | None] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()

    def ignores(self, words: Iterable[str]) -> bool:
        """Whether a shape with these labels is left out."""
        return any(plain(word) in self.ignored for word in words)

    def meaning(self, words: Iterable[str]) -> Meaning | None:
        """What the labels of a point or body mean together; None if they are not understood."""
        slot, corner = None, None
        for word in words:
            one = self._of(plain(word))
            if one is None or _differ(slot, one.slot) or _differ(corner, one.corner):
                return None
            slot = one.slot if one.slot is not None else slot
            corner = one.corner or corner
        return Meaning(slot, corner)

    def _of(self, name: str) -> Meaning | None:
        if name in self.names:
            return self.names[name]
        slot, rest = self.split_level(name)
        rest = " ".join(word for word in rest.split() if word not in _FILLERS)
        if not rest:
            return Meaning(slot)
        if rest in self.corners:
            return Meaning(slot, self.corners[rest])
        corner = _CORNERS.get(rest.replace(" ", ""))
        return Meaning(slot, corner) if corner else None

    def split_level(self, name: str) -> tuple[int | None, str]:
        """Slot of the level in a name in `plain` form, and the rest of the name."""
        for word in sorted(self.levels, key=len, reverse=True):
            padded = f" {name} "
            if f" {word} " in padded:
                return self.levels[word], padded.replace(f" {word} ", " ", 1).strip()
        found = _LEVEL.findall(name)
        if len(found) != 1:
            return None, name
        return slot_of_level(found[0]), _LEVEL.sub(" ", name, count=1).strip()


def _differ(one: object, other: object) -> bool:
    return None not in (one, other) and one != other


def plain(name: str) -> str:
    """A name in lower case, its words separated by single spaces."""
    return " ".join(re.findall(r"[^\W_]+", same_form(name).casefold()))


def _corner_words() -> dict[str, str]:
    """All names of a corner without separators, with the corner."""
    names = {}
    for vertical, horizontal in ((v, h) for v in _VERTICAL for h in _HORIZONTAL):
        corner = f"{vertical}_{horizontal}"
        for up in (*_VERTICAL[vertical], *_LETTERS[vertical]):
            for side in _HORIZONTAL[horizontal]:
                if (len(up) == 1) == (len(side) == 1):
                    names[up + side] = corner
                if len(up) > 1 and len(side) > 1:
                    names[side + up] = corner
    return names


_CORNERS = _corner_words()
ALL_CORNERS = (*CORNERS, *PATIENT_CORNERS)
