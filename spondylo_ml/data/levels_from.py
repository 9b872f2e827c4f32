"""The words by which files state where the level names of a film come from."""

from __future__ import annotations

from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import LEVELS_LABELLED, Film

LOWEST_IS_S1 = "assumed: the lowest labelled vertebra is S1"
LOWEST_IS_L5 = "assumed: the lowest labelled vertebra is L5"

WORDS = {"label": LEVELS_LABELLED, "assumed S1": LOWEST_IS_S1, "assumed L5": LOWEST_IS_L5}
"""Values of `levels_from` in files, and their meaning in `Film.levels_from`."""


def levels_from_word(film: Film) -> str:
    """The word for a film; any other assumption is written as the one that fits its lowest vertebra."""
    if film.levels_from == LEVELS_LABELLED or not film.vertebrae:
        return "label"
    return "assumed S1" if film.vertebrae[0].slot == 0 else "assumed L5"


def levels_from_of(value: object, file: str, where: str) -> str | None:
    """The meaning of a word, None if there is no word; raises `FileError` for an unknown word."""
    if value is None or value == "":
        return None
    meanings = {word.lower(): meaning for word, meaning in WORDS.items()}
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in meanings:
        raise FileError(file, f"{where}: levels_from must be one of {', '.join(WORDS)}", f", found {str(value)[:20]!r}")
    return meanings[word]
