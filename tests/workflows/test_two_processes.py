"""Two processes that would train one run: the second is refused, and a killed one does not stand in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile

import pytest
from mlflow.tracking import MlflowClient
from stores import add_run

from spondylo_ml.config import resolve_config
from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.resume import find_resume, write_run_folder
from spondylo_ml.tracking.training_lock import training_lock
from spondylo_ml.workflows.train import train

HOLDER = """
import os, sys, time
from pathlib import Path
from spondylo_ml.tracking.training_lock import training_lock
with training_lock(Path(sys.argv[1])):
    child = os.fork()  # as the processes that load films
    if child:
        print(child, flush=True)
    time.sleep(600)
"""


def test_a_run_that_another_process_trains_cannot_be_resumed(client: MlflowClient) -> None:
    run_id = add_run(client, status="RUNNING")
    folder = checkpoint_folder(run_id)
    write_run_folder(folder, run_id, resolve_config({"preset": "smoke"}))
    with zipfile.ZipFile(folder / "last.ckpt", "w") as archive:
        archive.writestr("weights", b"1234")
    resume = find_resume(run_id)
    before = client.get_run(run_id).to_dictionary()
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(TrackingError, match=f"is in use: process {holder.pid} on .* trains this run"):
                train(resume.config, resume)
            assert client.get_run(run_id).to_dictionary() == before, "the run of the other process is not touched"
            holder.kill()
            holder.wait()
            os.kill(child, 0)
            with training_lock(folder):
                pass
        finally:
            holder.kill()
            os.kill(child, signal.SIGKILL)
