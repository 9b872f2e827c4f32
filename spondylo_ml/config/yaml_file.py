"""YAML files as people write them: any Unicode encoding, `1e-3` as a number, nothing given twice."""

from __future__ import annotations

import codecs
import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from spondylo_ml.errors import ConfigError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks by which an encoding is known; that of UTF-32 begins as that of UTF-16 does."""

MERGE_TAG = "tag:yaml.org,2002:merge"
FLOAT_TAG = "tag:yaml.org,2002:float"


def read_yaml(path: Path, what: str = "recipe") -> dict[str, Any]:
    """A YAML mapping; empty for an empty file.

    Args:
        what: the file's part in messages.

    Raises:
        ConfigError: the file is missing, is no text or no YAML (says where), gives a name twice, or holds something
            else than names and values.
    """
    if path.is_dir():
        raise ConfigError(f"{what} {path} is a folder: give a YAML file")
    if not path.is_file():
        raise ConfigError(f"{what} {path} does not exist")
    try:
        tree = yaml.load(_text(path, what), Loader=StrictLoader)
        unquoted = next((name for name in _names(tree) if not isinstance(name, str)), None)
    except yaml.YAMLError as error:
        raise ConfigError(f"{what} {path} is not valid YAML: {_reason(error)}") from None
    except RecursionError:
        raise ConfigError(f"{what} {path} is nested too deeply, or holds itself by an alias") from None
    if not isinstance(tree, dict | None):
        raise ConfigError(f"{what} {path} must hold names and values, not {type(tree).__name__}")
    if unquoted is not None:
        raise ConfigError(f"{what} {path}: the name {unquoted!r} is not text but {type(unquoted).__name__}: quote it")
    return tree or {}


def _text(path: Path, what: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}") from None
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content[:4]:  # the first character of a file of names is Latin
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{what} {path} is not {encoding.upper()}: byte {content[error.start]:#04x} in line {line}. An editor may "
            "have saved it in another encoding, such as Windows-1252: save it as UTF-8"
        ) from None


class DuplicateKeyError(yaml.constructor.ConstructorError):
    """A mapping has the same name twice; PyYAML would silently keep the last value."""

    def __init__(self, name: str, first_line: int, mark: yaml.Mark) -> None:
        problem = f"{name!r} is given twice, first in line {first_line}: put both parts under one {name!r}"
        super().__init__(None, None, problem, mark)
        self.name = name


class StrictLoader(yaml.SafeLoader):
    """As `SafeLoader`; `1e-3` is a number, as in YAML 1.2, and a duplicate name raises `DuplicateKeyError`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE_TAG:
                continue
            name = self.construct_object(key, deep=True)
            if name in lines:
                raise DuplicateKeyError(key.value, lines[name], key.start_mark)
            lines[name] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


StrictLoader.add_implicit_resolver(
    FLOAT_TAG, re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+\Z"), list("-+.0123456789")
)


def _reason(error: yaml.YAMLError) -> str:
    """Where, and what, in one line."""
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or str(error).splitlines()[0])
    if "'\\t'" in problem:
        problem = "a tab: indent with spaces"
    elif "mapping values are not allowed" in problem:
        problem += ": put quotes round a value with ': ' in it, and look at the indentation"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _names(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield name
            yield from _names(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _names(value)
