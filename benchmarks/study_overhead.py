"""Measures what the database and MLflow add to a trial: four workers, PostgreSQL, an MLflow server, trials of 0.2 s."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import mlflow
from servers import mlflow_server, postgres
from studies import start_worker

WORKERS, TRIALS, TRIAL_S = 4, 200, 0.2


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, postgres() as database, mlflow_server(Path(folder)) as address:
        mlflow.set_tracking_uri(address)
        arguments = (database, "overhead", str(TRIALS), str(TRIAL_S))
        for worker in [start_worker(Path(folder), *arguments) for _ in range(WORKERS)]:
            output, _ = worker.communicate()
            sys.stdout.write("".join(line for line in output.splitlines(True) if line.startswith("between trials")))


if __name__ == "__main__":
    main()
