"""Where the level names of a film come from, in the words in which files carry it."""

from __future__ import annotations

from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import LEVELS_LABELLED, Film

LOWEST_IS_S1 = "assumed: the lowest labelled vertebra is S1"
LOWEST_IS_L5 = "assumed: the lowest labelled vertebra is L5"

WORDS = {"label": LEVELS_LABELLED, "assumed S1": LOWEST_IS_S1, "assumed L5": LOWEST_IS_L5}
"""What stands in `levels_from` of a file, and what it means."""


def levels_from_word(film: Film) -> str:
    """The word for a film; an assumption of another kind is named as the one that fits its lowest vertebra."""
    if film.levels_from == LEVELS_LABELLED or not film.vertebrae:
        return "label"
    return "assumed S1" if film.vertebrae[0].slot == 0 else "assumed L5"


def levels_from_of(value: object, file: str, where: str) -> str | None:
    """What a word means, None where there is none; `FileError` for another word."""
    if value is None or value == "":
        return None
    known = {word.lower(): meaning for word, meaning in WORDS.items()}
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in known:
        raise FileError(file, f"{where}: levels_from must be one of {', '.join(WORDS)}", f", found {str(value)[:20]!r}")
    return known[word]
