"""YAML files in several encodings and with common mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spondylo_ml.config.yaml_file import read_yaml
from spondylo_ml.errors import ConfigError


def write_yaml(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_unicode_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    text = "tracking: {run_name: Größe}\nseed: 3\n"
    assert read_yaml(write_yaml(tmp_path, text.encode(encoding))) == {"tracking": {"run_name": "Größe"}, "seed": 3}


def test_another_encoding_is_reported_with_byte_and_line(tmp_path: Path) -> None:
    path = write_yaml(tmp_path, "seed: 3\n# für alle\n".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"recipe\.yaml is not UTF-8: byte 0xfc in line 2\. .* save it as UTF-8"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training: {epochs: 3}\nseed: 1\ntraining: {seed: 4}",
            r"line 3, .*: 'training' is given twice, first in line 1",
        ),
        ("training:\n  epochs: 3\n  epochs: 4", r"line 3, column 3: 'epochs' is given twice, first in line 2"),
        ("- {a: 1, a: 2}", r"'a' is given twice"),
        ("training:\n\tepochs: 3", r"line 2, column 1: a tab: indent with spaces"),
        (
            "data: path: x",
            r"line 1, column 11: mapping values are not allowed here: put quotes round a value with ': '",
        ),
        ("3: 4", r"the name 3 is not text but int: quote it"),
        ("a: {on: 4}", r"the name True is not text but bool: quote it"),
        ("a: &t\n  b: *t", r"nested too deeply, or holds itself by an alias"),
        ("a: 1\n---\na: 2", r"another document"),
        ("a: !!python/tuple [1]", r"could not determine a constructor"),
        ("seed=3", r"must hold names and values, not str"),
    ],
)
def test_an_error_is_reported_in_one_line_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read_yaml(write_yaml(tmp_path, text.encode()), "space")
    assert str(error.value).startswith(f"space {tmp_path}/recipe.yaml")
    assert "\n" not in str(error.value)


def test_numbers_in_any_notation_are_numbers_and_a_merge_key_is_no_duplicate(tmp_path: Path) -> None:
    text = "a: [1e-3, 1E3, -.5e1, 1.0e-3, 1_000, '1e-3', 1e, v1e3]\nb: {<<: {c: 1, d: 2}, d: 3}"
    assert read_yaml(write_yaml(tmp_path, text.encode())) == {
        "a": [0.001, 1000.0, -5.0, 0.001, 1000, "1e-3", "1e", "v1e3"],
        "b": {"c": 1, "d": 3},
    }


def test_a_folder_instead_of_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder: give a YAML file"):
        read_yaml(tmp_path)
