"""Read text files in various encodings, and tables separated by commas, semicolons or tabs."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from spondylo_ml.errors import FileError

NOT_TEXT = "not a text file"
ANSI = "cp1252"
"""Encoding of Excel's plain CSV on Windows in western Europe and America."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_NO_SEPARATOR = "\x1f"  # for a table of one column
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class TableText:
    """The cells of a table.

    Attributes:
        rows: the non-empty rows.
        guessed: name of the encoding if it had to be guessed, else None.
    """

    rows: list[list[str]]
    guessed: str | None = None


def decode_text(data: bytes, file: str) -> str:
    """Decode UTF-8, with or without byte order mark, or UTF-16 with byte order mark.

    Raises:
        FileError: the data is neither.
    """
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(file, NOT_TEXT) from None
    if "\0" in text:
        raise FileError(file, f"{NOT_TEXT}, or UTF-16 without byte order mark: save it as UTF-8")
    return text


def read_cells(path: Path) -> TableText:
    """Read the cells of a CSV file. The first line determines the separator: semicolon, tab or comma.

    With semicolons a decimal comma is accepted, as Excel writes it in some countries: 0,14 is read as 0.14.

    Raises:
        FileError: the file is missing, is not text, or has an unclosed quotation mark.
    """
    text, guessed = _table_text(_read(path), path.name)
    first, _, rest = text.partition("\n")
    separator = _separator(text)
    if first.strip().lower() == f"sep={separator}":
        text = rest
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        rows = [row for row in reader if any(map(str.strip, row))]
    except csv.Error:
        raise FileError(path.name, "not a table: a quotation mark is not closed, or a cell is too long") from None
    if separator == ";":
        rows = [[c.replace(",", ".") if _DECIMAL_COMMA.fullmatch(c.strip()) else c for c in row] for row in rows]
    return TableText(rows, guessed)


def read_csv_rows(path: Path) -> list[list[str]]:
    """The rows of `read_cells`."""
    return read_cells(path).rows


def read_names(path: Path) -> list[str]:
    """The first cell of each non-empty line. A name may contain commas, with or without quotation marks."""
    lines = [line.strip().rstrip(",;\t ") for line in _table_text(_read(path), path.name)[0].splitlines()]
    return [line[1:-1].replace('""', '"') if line[:1] == line[-1:] == '"' else line for line in lines if line]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileError(path.name, "file is missing") from None
    except OSError as error:
        raise FileError(path.name, f"cannot be opened ({type(error).__name__})") from None


def _table_text(data: bytes, file: str) -> tuple[str, str | None]:
    try:
        return decode_text(data, file), None
    except FileError:
        if data.startswith(_UTF16) or b"\0" in data:
            raise
        try:
            return data.decode(ANSI), "Windows-1252"
        except UnicodeDecodeError:
            raise FileError(file, f"{NOT_TEXT} in UTF-8: save it as 'CSV UTF-8'") from None


def _separator(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    if match := re.fullmatch(r"sep=(.)\s*", first, re.IGNORECASE):
        return match[1]
    return next((mark for mark in (";", "\t", ",") if mark in first), _NO_SEPARATOR)
