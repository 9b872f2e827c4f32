"""Fixtures that several rooms of tests share; its being here puts `builders` on the path."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from builders import REAL_DATA, mendeley_folder, spineweb_folder

# Before torch is imported: tests run side by side, and on busy cores threads spend their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Started in the background of a script, this process ignores Ctrl-C, and so would every command that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says nothing of the code on a busy machine.
hypothesis.settings.register_profile("spondylo", deadline=None)
hypothesis.settings.load_profile("spondylo")


@pytest.fixture(autouse=True, scope="session")
def _salt_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A salt of their own: tests leave the user's alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPONDYLO_SALT_FILE", str(tmp_path_factory.mktemp("salt") / "salt"))
        yield


@pytest.fixture
def mendeley(tmp_path: Path) -> Path:
    """A sound Mendeley layout of six small synthetic films."""
    return mendeley_folder(tmp_path / "lateral")


@pytest.fixture
def spineweb(tmp_path: Path) -> Path:
    """A sound SpineWeb-16 layout of three films of two patients."""
    return spineweb_folder(tmp_path / "ap", patients=("a", "a", "b"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real films beside the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real films: {REAL_DATA} does not exist")
    return REAL_DATA
