"""Which layout a folder has, and what is said where it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import (
    spineweb_folder,
)

from spondylo_ml.data.readers import READERS, read_folder
from spondylo_ml.errors import DataError


def test_a_layout_is_recognised_or_given(mendeley: Path, spineweb: Path) -> None:
    assert read_folder(mendeley).kind == read_folder(mendeley, "mendeley").kind == "mendeley"
    assert read_folder(spineweb).kind == read_folder(spineweb, "spineweb16").kind == "spineweb16"
    assert read_folder(mendeley).name == "lateral"


def test_a_folder_of_two_layouts_needs_the_kind(mendeley: Path) -> None:
    spineweb_folder(mendeley)
    with pytest.raises(
        DataError, match=r"looks like several datasets \(mendeley, spineweb16\): name one with --data.kind"
    ):
        read_folder(mendeley)
    assert read_folder(mendeley, "spineweb16").kind == "spineweb16"


@pytest.mark.parametrize(("made", "state"), [(False, "does not exist"), (True, "is empty")])
def test_a_missing_or_empty_folder_says_what_was_looked_for_and_where(tmp_path: Path, made: bool, state: str) -> None:
    root = tmp_path / "films"
    if made:
        root.mkdir()
    with pytest.raises(DataError, match=state) as caught:
        read_folder(root)
    assert str(root.resolve()) in str(caught.value)
    for reader in READERS.values():
        assert f"  {reader.kind}: {reader.layout}" in str(caught.value)


def test_a_folder_of_another_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "something").mkdir()
    with pytest.raises(DataError, match=r"has no such layout\. Looked in it for:\n  mendeley: .*\n  spineweb16: "):
        read_folder(tmp_path)


def test_a_kind_that_the_folder_does_not_have_names_that_layout_alone(mendeley: Path) -> None:
    with pytest.raises(DataError, match=r"has no such layout\. Looked in it for:\n  spineweb16: ") as caught:
        read_folder(mendeley, "spineweb16")
    assert "Keypointrcnn_data" not in str(caught.value)
