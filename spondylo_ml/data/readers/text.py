"""Text files as people save them: encodings, and tables with commas, semicolons or tabs between the cells."""

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
"""What Excel on Windows calls CSV without UTF-8: Windows-1252 in western Europe and America."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_NO_SEPARATOR = "\x1f"  # a table of one column: its cells may hold commas
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class TableText:
    """A table as it was saved.

    Attributes:
        rows: the rows that are not empty.
        guessed: the encoding where the file does not say it and is no UTF-8, else None.
    """

    rows: list[list[str]]
    guessed: str | None = None


def decode_text(data: bytes, file: str) -> str:
    """Text in UTF-8, with or without its mark, or in UTF-16 with its mark.

    Raises:
        FileError: neither of them.
    """
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(file, NOT_TEXT) from None
    if "\0" in text:
        raise FileError(file, f"{NOT_TEXT}, or UTF-16 without its mark: save it as UTF-8")
    return text


def read_cells(path: Path) -> TableText:
    """The cells of a CSV file. What separates them is what the first line has: semicolons, tabs or else commas.

    Excel writes semicolons where the comma is the decimal mark: there 0,14 is read as 0.14.

    Raises:
        FileError: the file is missing, no text, or has quotation marks that are never closed.
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
        raise FileError(path.name, "no table: a quotation mark is not closed, or a cell is too long") from None
    if separator == ";":
        rows = [[c.replace(",", ".") if _DECIMAL_COMMA.fullmatch(c.strip()) else c for c in row] for row in rows]
    return TableText(rows, guessed)


def read_csv_rows(path: Path) -> list[list[str]]:
    """`read_cells`, the rows alone."""
    return read_cells(path).rows


def read_names(path: Path) -> list[str]:
    """The first cell of each line that is not empty; a name may hold commas, in quotation marks or not."""
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
    if said := re.fullmatch(r"sep=(.)\s*", first, re.IGNORECASE):
        return said[1]
    return next((mark for mark in (";", "\t", ",") if mark in first), _NO_SEPARATOR)
