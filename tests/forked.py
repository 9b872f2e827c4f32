"""Programs in processes of their own that need not import the libraries, which takes longer than most of them run.

A server process imports them once and forks for each program. Other tests start `python -m spondylo_ml` itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

IMPORTED_BEFORE = (
    "mlflow.store.tracking.sqlalchemy_store",
    "spondylo_ml.workflows.audit",
    "spondylo_ml.workflows.benchmark",
    "spondylo_ml.workflows.compare",
    "spondylo_ml.workflows.diagnose",
    "spondylo_ml.workflows.evaluate",
    "spondylo_ml.workflows.export",
    "spondylo_ml.workflows.predict",
    "spondylo_ml.workflows.promote",
    "spondylo_ml.workflows.train",
    "tuning.study",
    "preloaded",
)


SEARCH_PATH = tuple(filter(None, sys.path))
"""Where programs find modules: MLflow adds the code in each model that a test loads to the path of this process."""


class ForkedProgram:
    """A running program, with the methods of `subprocess.Popen` that the tests use."""

    def __init__(
        self,
        folder: Path,
        module: str,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        new_group: bool = False,
    ) -> None:
        """Start `python -m <module>` with the arguments in `folder`, in a new process group if `new_group`."""
        self.args = (module, *arguments)
        self._output = tempfile.NamedTemporaryFile(prefix="program-", suffix=".log")  # deleted with this object
        self._process = _server().Process(
            target=_run,
            args=(str(folder), tuple(filter(None, sys.path)), self.args, dict(variables), self._output.name, new_group),
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the number of the signal that ended the program, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same as `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit code. After `timeout` seconds the program is killed and an error raised."""
        self._process.join(timeout)
        if self.returncode is None:
            self.send_signal(signal.SIGKILL)
            raise subprocess.TimeoutExpired(self.args, timeout or 0, Path(self._output.name).read_bytes())
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for the end as `wait` does; the output, with errors."""
        self.wait(timeout)
        return Path(self._output.name).read_text(encoding="utf-8"), None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the program if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def lines(self) -> Iterator[str]:
        """The lines of the output as they are written, until the program ends."""
        with open(self._output.name, encoding="utf-8") as stream:
            ended = False
            while not ended:
                ended = self.poll() is not None
                yield from stream
                time.sleep(0.02)


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED_BEFORE))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.setenv("PYTHONPATH", os.pathsep.join(SEARCH_PATH))
        forkserver.ensure_running()
    return context


def _run(
    folder: str,
    search_path: tuple[str, ...],
    program: tuple[str, ...],
    variables: dict[str, str],
    output: str,
    new_group: bool,
) -> None:
    if new_group:
        os.setpgid(0, 0)
    os.chdir(folder)
    sys.path[:] = search_path
    os.environ.update(variables)
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
    module, *sys.argv[1:] = program
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()  # a process of multiprocessing ends without them
