"""A study in a real PostgreSQL behind the proxy: workers with and without it, one of them killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from optuna.trial import TrialState
from servers import free_port, postgres
from studies import children, proxy_of, start_worker, study_in

pytest.importorskip("grpc", reason="the proxy needs grpcio: pip install grpcio protobuf")
TRIALS, WAIT_S = 40, 300


@pytest.fixture
def database() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.mark.slow
def test_workers_behind_a_proxy_share_a_study_in_postgresql_and_one_may_die(tmp_path: Path, database: str) -> None:
    port = free_port()
    address = f"grpc://localhost:{port}"
    with proxy_of(database, tmp_path, port):
        killed = start_worker(tmp_path, address, "shared", str(TRIALS), "60", "1")
        try:
            assert next(line for line in killed.lines() if line.startswith("begins"))
        finally:
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        workers = [start_worker(tmp_path, address, "shared", str(TRIALS), "0.05") for _ in range(6)]
        workers.append(start_worker(tmp_path, database, "shared", str(TRIALS), "0.05"))
        outputs = [worker.communicate(timeout=WAIT_S)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * 7, "\n".join(outputs)
        study = study_in(tmp_path, "shared", storage=address, trials=TRIALS)
        trials = study.study.get_trials()
        assert [trial.state for trial in trials].count(TrialState.COMPLETE) == TRIALS
        (lost,) = [trial for trial in trials if trial.state is TrialState.FAIL]
        (retry,) = [trial for trial in trials if trial.system_attrs.get("retry_history") == [lost.number]]
        assert (retry.params, retry.state) == (lost.params, TrialState.COMPLETE)
        assert len(children(study)) == TRIALS + 1
    begun = sorted(int(line.split()[1]) for text in outputs for line in text.splitlines() if line.startswith("begins"))
    assert begun == sorted(set(range(TRIALS + 1)) - {lost.number}), "each trial once"
    assert _tables(database) >= {"studies", "trials"}


def _tables(database: str) -> set[str]:
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in rows}
