"""Checks of output folders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from spondylo_ml.errors import DataError
from spondylo_ml.folders import require_empty_folder, require_new_file, require_writable


def test_an_existing_and_a_new_folder_are_writable_and_left_unchanged(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "new" / "below"):
        require_writable(path)
        require_empty_folder(path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_may_be_in_a_new_folder_and_no_file_is_overwritten(tmp_path: Path) -> None:
    require_new_file(tmp_path / "new" / "mapping.yaml")
    (tmp_path / "mapping.yaml").write_text("levels: {}")
    for existing in (tmp_path / "mapping.yaml", tmp_path):
        with pytest.raises(DataError, match=r"exists: give the name of a new file, nothing is overwritten"):
            require_new_file(existing)
    assert [path.name for path in tmp_path.iterdir()] == ["mapping.yaml"]


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    file = tmp_path / "film.png"
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"film\.png/a/b cannot be written: .*film\.png is a file, a folder is needed"):
        require_writable(file / "a" / "b")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"link is not a folder, a folder is needed"):
        require_writable(link / "a")


def test_the_reason_of_the_operating_system_is_reported() -> None:
    with pytest.raises(DataError, match=r"/proc/results cannot be written \(.+ in /proc\): give a writable folder"):
        require_writable(Path("/proc/results"))


def test_a_full_disk_is_detected_although_it_accepts_an_empty_file(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("this user cannot mount a small disk")
    try:
        with pytest.raises(DataError, match=r"cannot be written \(No space left on device in .*disk\)"):
            require_writable(disk / "results")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_or_a_folder_with_files_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with pytest.raises(DataError, match="is not empty: give a new or empty folder, nothing is overwritten"):
        require_empty_folder(tmp_path)
    with pytest.raises(DataError, match="is a file: give a new or empty folder"):
        require_empty_folder(tmp_path / "a")
