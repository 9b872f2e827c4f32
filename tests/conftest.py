"""Fixtures for all tests; this file also puts the helper modules of this folder on the path."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import mlflow
import pytest
from builders import REAL_DATA, mendeley_folder, spineweb_folder
from mlflow.tracking import MlflowClient
from stores import store_in

# Before torch is imported: tests run in parallel, and threads on busy cores mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A process started in the background of a script ignores Ctrl-C, and so would every command that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# On a busy machine the time of an example says nothing about the code.
hypothesis.settings.register_profile("spondylo", deadline=None)
hypothesis.settings.load_profile("spondylo")


LONG = ("examples", "serving", "tuning", "workflows")
"""Folders whose test files take longest."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of these tests."""
    parser.addoption(
        "--moments", type=int, default=50, help="random moments at which a training run is ended, for each signal"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the long files first: one that starts last would keep one of several workers busy and the others idle."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)


@pytest.fixture(autouse=True, scope="session")
def _salt_for_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a temporary salt, so that tests leave the user's one alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPONDYLO_SALT_FILE", str(tmp_path_factory.mktemp("salt") / "salt"))
        yield


@pytest.fixture
def mendeley(tmp_path: Path) -> Path:
    """A valid Mendeley layout with six small synthetic films."""
    return mendeley_folder(tmp_path / "lateral")


@pytest.fixture
def spineweb(tmp_path: Path) -> Path:
    """A valid SpineWeb-16 layout with three films of two patients."""
    return spineweb_folder(tmp_path / "ap", patients=("a", "a", "b"))


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """A client of an empty store in the current folder, which is the current store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path))
    yield MlflowClient()
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real films beside the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real films: {REAL_DATA} does not exist")
    return REAL_DATA
