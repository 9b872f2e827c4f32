"""A made-up language for reports: every letter of the English texts is a Greek one."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from string import ascii_letters
from typing import Any

from spondylo_ml.film_report.report_texts import ENGLISH_FILE

LATIN_TO_GREEK = str.maketrans(ascii_letters, "αβψδεφγηιξκλμνοπκρστθωςχυζΑΒΨΔΕΦΓΗΙΞΚΛΜΝΟΠΚΡΣΤΘΩΣΧΥΖ")


def in_greek_letters(text: str) -> str:
    """The text, whose names in braces are left as they are."""
    outside, *others = text.split("{")
    parts = [outside.translate(LATIN_TO_GREEK)]
    for other in others:
        name, _, after = other.partition("}")
        parts.append("{" + name + "}" + after.translate(LATIN_TO_GREEK))
    return "".join(parts)


def write_greek(path: Path, changes: dict[str, str] | None = None) -> Path:
    """Write the catalogue of this language; `changes` replace or add texts of the section `page`."""
    tree = _translated(tomllib.loads(ENGLISH_FILE.read_text(encoding="utf-8"))) | {"language": "el"}
    tree["page"] |= changes or {}
    lines: list[str] = []
    _append(lines, tree, "")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _translated(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: _translated(v) if isinstance(v, dict) else in_greek_letters(v) for name, v in tree.items()}


def _append(lines: list[str], tree: dict[str, Any], section: str) -> None:
    """Append a table and those within it; its own texts come first, as TOML needs."""
    lines += [f"[{section}]"] if section else []
    lines += [
        f"{name} = {json.dumps(text, ensure_ascii=False)}" for name, text in tree.items() if isinstance(text, str)
    ]
    for name, table in tree.items():
        if isinstance(table, dict):
            _append(lines, table, f"{section}.{name}" if section else name)
