"""Parse numbers, JSON, YAML and text lines, with errors that name the file and the place in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from spondylo_ml.config.yaml_file import DuplicateKeyError, StrictLoader
from spondylo_ml.data.readers.text import decode_text
from spondylo_ml.errors import FileError

Number = int | float


def finite_numbers(values: Iterable[object], file: str, what: str) -> list[float]:
    """The values as floats.

    Raises:
        FileError: a value is not a finite number; booleans and text are not numbers.
    """
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Number) or not abs(value) <= sys.float_info.max:
            raise FileError(file, f"{what} must be finite numbers", f", found {_shown(value)}")
        numbers.append(float(value))
    return numbers


def parse_floats(fields: Sequence[str], file: str, what: str) -> list[float]:
    """Text fields as finite numbers.

    Raises:
        FileError: a field is not a finite number.
    """
    values: list[object] = []
    for text in fields:
        try:
            values.append(float(text))
        except ValueError:
            hint = ", with a decimal point" if "," in text else ""
            raise FileError(file, f"{what} must be finite numbers{hint}", f", found {_shown(text)}") from None
    return finite_numbers(values, file, what)


def require_classes(classes: Iterable[float], file: str, where: str) -> None:
    """Raise `FileError` if a class is not a whole number from 0 up."""
    for value in classes:
        if value < 0 or value != int(value):
            raise FileError(file, f"{where}: a class is a whole number from 0 up", f", found {value:g}")


def require_visibility(values: Iterable[float], file: str, where: str) -> None:
    """Raise `FileError` if a visibility is not 0, 1 or 2."""
    for value in values:
        if value not in (0, 1, 2):
            raise FileError(
                file, f"{where}: visibility must be 0 (absent), 1 (hidden) or 2 (visible)", f", found {value:g}"
            )


def read_json(path: Path) -> object:
    """Read a JSON file; `FileError` if it is invalid, or has the same key twice in an object."""
    try:
        text = decode_text(_bytes(path), path.name)
        return json.loads(text, object_pairs_hook=lambda pairs: _unique_keys(pairs, path.name))
    except (ValueError, RecursionError):  # a number of thousands of digits raises a plain ValueError
        raise FileError(path.name, "not valid JSON (truncated, or another format)") from None


def read_yaml(path: Path) -> object:
    """Read a YAML file; `FileError` if it is invalid, or has the same key twice in a mapping."""
    try:
        return yaml.load(decode_text(_bytes(path), path.name), StrictLoader)
    except DuplicateKeyError as error:
        raise FileError(path.name, "has the same name twice", f": {error.name[:40]}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise FileError(path.name, "not valid YAML (truncated, or another format)") from None


def read_text_lines(path: Path) -> list[list[str]]:
    """The whitespace-separated fields of each non-empty line; `FileError` if there is none, or the file is not text."""
    text = decode_text(_bytes(path), path.name)
    if lines := [line.split() for line in text.splitlines() if line.strip()]:
        return lines
    raise FileError(path.name, "empty label file")


def _unique_keys(pairs: list[tuple[str, Any]], file: str) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise FileError(file, "has the same name twice in an object", f": {duplicate[:40]}")
    return tree


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(path.name, f"cannot be opened ({type(error).__name__})") from None


def _shown(value: object) -> str:
    return repr(value)[:20] if not isinstance(value, int) or abs(value) < 1e20 else "a very large number"
