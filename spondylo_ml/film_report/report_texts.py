"""The texts of a film report in one language, from a catalogue of the form of `texts/en.toml`.

Measurements word their reasons, warnings and verdicts in English, also in JSON. In another language such a sentence is
found among the English ones by its whole text, and the values in it are put into the translation.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from spondylo_ml.errors import DataError

ENGLISH_FILE = Path(__file__).with_name("texts") / "en.toml"


@dataclass(frozen=True)
class ReportTexts:
    """The texts of one language.

    Attributes:
        language: its code, such as "en", for the page's `lang`.
        texts: by place in the catalogue, such as "page.levels"; names in braces are replaced by values.
    """

    language: str
    texts: Mapping[str, str]

    def text(self, key: str, /, **values: object) -> str:
        """A text of the section `page`, with its values."""
        return self.texts[f"page.{key}"].format(**values)

    def say(self, english: str) -> str:
        """What a measurement says in English, in this language; unchanged where the catalogue does not have it."""
        return english if self is english_texts() else self._translated(english, ("sentences",)) or english

    def _translated(self, english: str, sections: tuple[str, ...]) -> str | None:
        for key, pattern in _patterns():
            if key.startswith(sections) and (found := pattern.fullmatch(english)):
                values = {name: self.part(value) for name, value in found.groupdict().items()}
                return self.texts[key].format(**values)
        return None

    def part(self, english: str) -> str:
        """A word or a value of a sentence, such as "left", which may be a sentence itself."""
        return self._translated(english, ("sentences", "parts")) or english


@cache
def english_texts() -> ReportTexts:
    """The English texts, to which all others must correspond."""
    return _texts(_flat(tomllib.loads(ENGLISH_FILE.read_text(encoding="utf-8"))))


def read_texts(path: Path | None) -> ReportTexts:
    """The texts in a file; the English ones if None.

    Raises:
        DataError: the file cannot be read, or its texts do not correspond to the English ones.
    """
    if path is None:
        return english_texts()
    try:
        texts = _flat(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:  # invalid TOML or UTF-8 is a ValueError
        raise DataError(f"{path}: the texts of the report cannot be read: {error}") from None
    _require_all(texts, path)
    return _texts(texts)


def in_catalogue(english: str) -> bool:
    """Whether the catalogue has a sentence, so that it can be translated."""
    return any(key.startswith("sentences") and pattern.fullmatch(english) for key, pattern in _patterns())


def _texts(texts: dict[str, str]) -> ReportTexts:
    return ReportTexts(texts["language"], texts)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The texts of nested tables, by their names joined with dots."""
    texts: dict[str, str] = {}
    for name, value in tree.items():
        texts |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
    return texts


def _require_all(texts: Mapping[str, str], path: Path) -> None:
    english = english_texts().texts
    differences = [f"{key} is missing" for key in english.keys() - texts.keys()]
    differences += [f"{key} is not in the English catalogue" for key in texts.keys() - english.keys()]
    for key in english.keys() & texts.keys():
        if (needed := _names(english[key])) != _names(texts[key]):
            differences.append(f"{key} needs the values {', '.join(needed or ()) or '(none)'} in braces, and no others")
    if differences:
        shown = "; ".join(sorted(differences)[:5])
        raise DataError(
            f"{path}: {len(differences)} text(s) do not correspond to those of {ENGLISH_FILE.name}: {shown}. "
            f"Copy {ENGLISH_FILE} and translate its texts"
        )


def _names(text: str) -> list[str] | None:
    """Names in braces, sorted; None if the braces are not balanced or hold anything but a name."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return None
    plain = all(name is None or (name.isidentifier() and not (form or how)) for _, name, form, how in parts)
    return sorted(name for _, name, _, _ in parts if name is not None) if plain else None


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """A pattern for each English sentence and part, those with the most literal characters first."""
    texts = {key: text for key, text in english_texts().texts.items() if key.startswith(("sentences", "parts"))}
    literal = {key: "".join(part for part, *_ in Formatter().parse(text)) for key, text in texts.items()}
    ordered = sorted(texts, key=lambda key: (-len(literal[key]), key))
    return tuple((key, _pattern(texts[key])) for key in ordered)


def _pattern(text: str) -> re.Pattern[str]:
    parts = Formatter().parse(text)
    return re.compile("".join(re.escape(before) + (f"(?P<{name}>.+?)" if name else "") for before, name, *_ in parts))
