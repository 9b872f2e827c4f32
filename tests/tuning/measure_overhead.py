"""What the database and MLflow cost a trial: four workers on PostgreSQL and an MLflow server, trials of 0.2 s.

`PYTHONPATH=.:tests python tests/tuning/measure_overhead.py` takes a minute or two; a quiet machine is wanted.
"""

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
        asked = (database, "overhead", str(TRIALS), str(TRIAL_S))
        for worker in [start_worker(Path(folder), *asked) for _ in range(WORKERS)]:
            said, _ = worker.communicate()
            sys.stdout.write("".join(line for line in said.splitlines(True) if line.startswith("between trials")))


if __name__ == "__main__":
    main()
