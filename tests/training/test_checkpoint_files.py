"""Checkpoints are whole or absent: a killed writer, a full disk, and a disk that damages what it holds."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spondylo_ml.training.checkpoint_files import (
    files_in,
    is_whole,
    previous_of,
    remove_partial,
    replace_file,
    whole_checkpoint,
)

LARGE = 8 << 20

WRITER = f"""
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_checkpoint_files import archive
from spondylo_ml.training.checkpoint_files import replace_file
content = [archive(bytes([n]) * {LARGE}) for n in (1, 2)]
while True:
    for one in content:
        replace_file(Path(sys.argv[1]), one, keep_previous=True)
        print(flush=True)
"""


def archive(content: bytes) -> bytes:
    """A file of the form that `torch.save` writes, with a fixed time in it: the same bytes whenever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("data.pkl"), content)
    return buffer.getvalue()


def test_a_writer_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    checkpoint = tmp_path / "last.ckpt"
    program = [sys.executable, "-c", WRITER, str(checkpoint), str(Path(__file__).parent)]
    for milliseconds in (0, 5, 11, 18):
        with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()
            time.sleep(milliseconds / 1000)
            process.send_signal(signal.SIGKILL)
        assert whole_checkpoint(checkpoint) == checkpoint
        assert is_whole(previous_of(checkpoint))
        remove_partial(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["last-previous.ckpt", "last.ckpt"]


def test_a_disk_without_room_keeps_the_old_checkpoint_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "last.ckpt"
    replace_file(checkpoint, archive(b"old"), keep_previous=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"last\.ckpt"):
            replace_file(checkpoint, archive(bytes(2000)), keep_previous=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoint.read_bytes() == archive(b"old")
    assert files_in(tmp_path) == [checkpoint]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
        lambda content: bytes(len(content)),
    ],
    ids=["empty", "cut off", "one bit", "zeros"],
)
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_taken(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    checkpoint = tmp_path / "last.ckpt"
    replace_file(checkpoint, archive(b"a" * 99), keep_previous=True)
    replace_file(checkpoint, archive(b"b" * 99), keep_previous=True)
    assert whole_checkpoint(checkpoint) == checkpoint
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    assert whole_checkpoint(checkpoint) == previous_of(checkpoint)
    assert previous_of(checkpoint).read_bytes() == archive(b"a" * 99)
    previous_of(checkpoint).unlink()
    assert whole_checkpoint(checkpoint) is None


def no_more_files(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def broken_disk(path: Path) -> None:
    path.unlink()
    path.symlink_to("/proc/self/mem")  # its first bytes cannot be read


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="only Linux has a file that opens and cannot be read")
@pytest.mark.parametrize(("fail", "number"), [(no_more_files, errno.EMFILE), (broken_disk, errno.EIO)])
def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_damaged(
    tmp_path: Path, fail: Callable[[Path], None], number: int
) -> None:
    checkpoint = tmp_path / "last.ckpt"
    replace_file(checkpoint, archive(b"1"), keep_previous=True)
    replace_file(checkpoint, archive(b"2"), keep_previous=True)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        fail(checkpoint)
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            whole_checkpoint(checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert caught.value.errno == number
    assert previous_of(checkpoint).read_bytes() == archive(b"1")


def test_where_there_are_no_hard_links_the_one_before_is_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", no_links)
    checkpoint = tmp_path / "last.ckpt"
    replace_file(checkpoint, b"1", keep_previous=True)
    replace_file(checkpoint, b"2", keep_previous=True)
    assert (checkpoint.read_bytes(), previous_of(checkpoint).read_bytes()) == (b"2", b"1")
