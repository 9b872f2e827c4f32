"""Numbers and tables out of text, with errors that name the file and the place."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from spondylo_ml.errors import FileError


def finite_numbers(values: Iterable[object], file: str, what: str) -> list[float]:
    """The values as finite numbers; booleans and text are refused.

    Raises:
        FileError: a value is no finite number.
    """
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise FileError(file, f"{what} must be finite numbers", f", found {repr(value)[:20]}")
        numbers.append(float(value))
    return numbers


def parse_floats(fields: Sequence[str], file: str, what: str) -> list[float]:
    """Text fields as finite numbers.

    Raises:
        FileError: a field is no finite number.
    """
    values: list[object] = []
    for text in fields:
        try:
            values.append(float(text))
        except ValueError:
            raise FileError(file, f"{what} must be finite numbers", f", found {text[:20]!r}") from None
    return finite_numbers(values, file, what)


def read_csv_rows(path: Path) -> list[list[str]]:
    """Non-empty rows of a CSV without header; `FileError` where the file is missing or not text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise FileError(path.name, "file is missing") from None
    except (UnicodeDecodeError, csv.Error):
        raise FileError(path.name, "not a text file") from None


def read_json(path: Path) -> object:
    """A JSON file; `FileError` where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise FileError(path.name, "not valid JSON (truncated, or another format)") from None


def read_text_lines(path: Path) -> list[list[str]]:
    """The fields of each line that is not empty; `FileError` where there is none, or no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(path.name, "not a text file") from None
    if lines := [line.split() for line in text.splitlines() if line.strip()]:
        return lines
    raise FileError(path.name, "empty label file")
