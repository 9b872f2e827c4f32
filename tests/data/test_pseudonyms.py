"""Pseudonyms: stable for a user, different between users, with a salt that only the user can read."""

from __future__ import annotations

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spondylo_ml.data.pseudonyms import SALT_VARIABLE, pseudonym, salt_file
from spondylo_ml.errors import DataError


@pytest.fixture
def salt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "own" / "salt"
    monkeypatch.setenv(SALT_VARIABLE, str(path))
    return path


def test_a_name_has_one_pseudonym_and_each_user_another(
    salt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = pseudonym("Jane Roe")
    assert re.fullmatch(r"anon-[0-9a-f]{16}", mine)
    assert mine == pseudonym("Jane Roe") != pseudonym("Jane Doe")
    monkeypatch.setenv(SALT_VARIABLE, str(tmp_path / "other"))
    assert pseudonym("Jane Roe") != mine


def test_a_pseudonym_stays_as_it_is(salt: Path) -> None:
    assert pseudonym(pseudonym("Jane Roe")) == pseudonym("Jane Roe")
    assert pseudonym("anon-12") != "anon-12"


def test_the_salt_is_made_once_and_readable_by_its_user_alone(salt: Path) -> None:
    pseudonym("a")
    folder = salt.read_text()
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    pseudonym("b")
    assert salt.read_text() == folder
    assert list(salt.parent.iterdir()) == [salt], "no draft is left"


def test_two_that_start_at_once_agree_on_one_salt(salt: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(pseudonym, ["Jane Roe"] * 32))) == 1


def test_without_the_variable_the_salt_lies_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SALT_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert salt_file() == tmp_path / ".spondylo_salt"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no hex", "cannot be read or created"),
        (b"\xff", "cannot be read or created"),
        (b"abcd", "is cut off"),
        (b"", "is cut off"),
    ],
)
def test_a_damaged_salt_is_reported_and_never_replaced(salt: Path, content: bytes, message: str) -> None:
    salt.parent.mkdir()
    salt.write_bytes(content)
    with pytest.raises(DataError, match=message):
        pseudonym("a")
    assert salt.read_bytes() == content
