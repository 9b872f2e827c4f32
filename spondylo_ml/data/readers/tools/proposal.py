"""Propose a `mapping.yaml` for names that are not understood.

A word that occurs with a level, such as 1 in L4-1, is a corner: the corners of each vertebra with four such points are
told apart by their position, and each vertebra is a vote. Levels are guessed from words of anatomy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import yaml

from spondylo_ml.data.readers.bodies import slot_of_level
from spondylo_ml.data.readers.tools.arrange import arrange
from spondylo_ml.data.readers.tools.assemble import unknown_words
from spondylo_ml.data.readers.tools.drawing import Drawing, DrawnPoint
from spondylo_ml.data.readers.tools.point_names import ANY, PointNames, plain
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS

AGREEMENT = 0.8
"""A word means a corner if it is that corner on at least this share of the vertebrae."""

_LEVEL_WORDS = (
    (re.compile(r"(?<!\w)(?:sacrum|sacral ?1?|sakrum|swk ?1?)(?!\w)"), "S1"),
    (re.compile(r"(?<!\w)(?:lumbar|lwk|lw) ?([1-5])(?!\w)"), "L{}"),
    (re.compile(r"(?<!\w)(?:thoracic|bwk|th|d) ?(1[0-2]|[1-9])(?!\w)"), "T{}"),
)


@dataclass(frozen=True)
class Proposal:
    """A `mapping.yaml` to check.

    Attributes:
        text: its lines; empty if all names are understood.
        doubts: what a person must decide or look at, a sentence each. They quote labels, as `text` does.
    """

    text: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Named:
    """A point of a vertebra with the word that may name its corner."""

    word: str
    xy: tuple[float, float]


def count_names(drawings: Iterable[Drawing], names: PointNames) -> tuple[int, int]:
    """Number of different names of points and bodies, and of those that are not understood."""
    every: set[tuple[str, ...]] = set()
    unknown: set[tuple[str, ...]] = set()
    for drawing in drawings:
        words = [body.words for body in drawing.bodies]
        words += [point.words for body in drawing.bodies for point in body.points]
        every |= {one for one in (*words, *(point.words for point in drawing.loose)) if one}
        unknown |= set(unknown_words(drawing, names))
    return len(every), len(unknown)


def proposed_mapping(drawings: Sequence[Drawing], names: PointNames) -> Proposal:
    """A `mapping.yaml` to check and complete; empty if all names are understood."""
    unknown = {plain(word) for drawing in drawings for words in unknown_words(drawing, names) for word in words}
    unknown = {word for word in unknown if names.meaning([word]) is None}
    if not unknown:
        return Proposal()
    levels = {word: level for name in unknown for word, level in [_guessed_level(name)] if word}
    with_levels = PointNames(
        names.names, {**names.levels, **{w: _slot(level) for w, level in levels.items()}}, names.corners, names.ignored
    )
    votes = _votes(drawings, with_levels)
    guessed = [(_quoted(word), level) for word, level in sorted(levels.items())]
    lines = ["# Proposed from the names and the positions of the points: check it before you use it."]
    lines += ["levels:", *(f"  {word}: {level}  # guessed from the word" for word, level in guessed)] if guessed else []
    doubts = [f"{word} is taken for {level}: guessed from the word" for word, level in guessed]
    corners, rest = [], []
    for word in sorted({_rest(name, with_levels) for name in unknown} - {""}):
        if with_levels.meaning([word]) is not None:
            continue
        if word in votes:
            corners.append(f"  {_quoted(word)}: {_winner(votes[word])}")
            doubts += _disagreement(word, votes[word])
        else:
            rest.append(word)
    lines += ["corners:", *corners] if corners else []
    lines += [f"# not recognised: a corner, a level, or to be left out by ignore: {_quoted(word)}" for word in rest]
    doubts += [f"{_quoted(word)} is not recognised: add it to corners, levels, names or ignore" for word in rest]
    return Proposal("\n".join(lines) + "\n", tuple(doubts))


def _guessed_level(name: str) -> tuple[str, str]:
    """The word of a level in a name, and the level; empty if there is none."""
    for pattern, level in _LEVEL_WORDS:
        if match := pattern.search(name):
            return match[0], level.format(*match.groups())
    return "", ""


def _slot(level: str) -> int:
    slot = slot_of_level(level)
    assert slot is not None, "every guessed level exists"
    return slot


def _rest(name: str, names: PointNames) -> str:
    """A name without its level."""
    return names.split_level(name)[1]


def _votes(drawings: Sequence[Drawing], names: PointNames) -> dict[str, Counter[str]]:
    """For each word, how often it is which corner."""
    votes: dict[str, Counter[str]] = {}
    for drawing in drawings:
        scale = (1.0, 1.0)
        if drawing.unit == "percent" and drawing.size_hw:
            scale = (drawing.size_hw[1] / 100, drawing.size_hw[0] / 100)
        bodies = [(slot, points) for slot, points in _bodies(drawing, names) if len({p.word for p in points}) == 4]
        if not bodies:
            continue
        quads = np.array([[point.xy for point in points] for _, points in bodies]) * np.array(scale)
        try:
            arranged = arrange(quads, [False] * len(quads), [slot for slot, _ in bodies], drawing.film)
        except FileError:
            continue  # this film is no evidence
        for quad, corners, (_, points) in zip(quads, arranged, bodies, strict=True):
            for xy, point in zip(quad, points, strict=True):
                place = int(np.flatnonzero((corners == xy).all(axis=1))[0])
                votes.setdefault(point.word, Counter())[CORNERS[place]] += 1
    return votes


def _bodies(drawing: Drawing, names: PointNames) -> list[tuple[int | None, list[_Named]]]:
    """The vertebrae with four points, each with the word that may name its corner."""
    by_slot: dict[int, list[_Named]] = {}
    for point in drawing.loose:
        slot, named = _named(point, names)
        if slot is not None and named:
            by_slot.setdefault(slot, []).append(named)
    found: list[tuple[int | None, list[_Named]]] = list(by_slot.items())
    for body in drawing.bodies:
        split = [_named(point, names) for point in body.points]
        slots = [names.split_level(plain(word))[0] for word in body.words] + [slot for slot, _ in split]
        known = [slot for slot in slots if slot is not None]
        found.append((known[0] if known else None, [named for _, named in split if named]))
    return [(slot, points) for slot, points in found if len(points) == 4]


def _named(point: DrawnPoint, names: PointNames) -> tuple[int | None, _Named | None]:
    if point.xy is None or len(point.words) != 1:
        return None, None
    slot, word = names.split_level(plain(point.words[0]))
    return slot, _Named(word, point.xy) if word else None


def _winner(votes: Counter[str]) -> str:
    """The corner that a word means, with its share as a comment; `any` if the vertebrae disagree."""
    (corner, count), total = votes.most_common(1)[0], votes.total()
    meaning = corner if count >= AGREEMENT * total else ANY
    return f"{meaning}  # {corner} on {count} of {total} vertebrae"


def _disagreement(word: str, votes: Counter[str]) -> list[str]:
    """A sentence about a word that is not the same corner on all vertebrae."""
    (corner, count), total = votes.most_common(1)[0], votes.total()
    if count == total:
        return []
    taken = f"is taken for {corner}" if count >= AGREEMENT * total else "says no corner: told apart by position"
    return [f"{_quoted(word)} {taken}: it is {corner} on {count} of {total} vertebrae"]


def _quoted(word: str) -> str:
    """A word as a YAML scalar."""
    return yaml.safe_dump(word, allow_unicode=True, width=200).splitlines()[0]
