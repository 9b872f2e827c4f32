"""Studies whose workers reach the database through a proxy, a real process on the loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from servers import free_port
from studies import bowl, children, proxy_of, start_worker, states, study_in

from spondylo_ml.errors import ConfigError
from tuning import grpc_storage, proxy
from tuning.attempt import Attempt, TrialResult
from tuning.grpc_storage import ProxiedStorage, StudiesLostError
from tuning.storage import StudyLock, open_storage, require_storage

pytest.importorskip("grpc", reason="the proxy needs grpcio: pip install grpcio protobuf")
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")  # of heartbeats
WAIT_S = 120


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a proxy in front of a SQLite file."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    with proxy_of(f"sqlite:///{folder}/studies.db", folder, port):
        yield f"grpc://localhost:{port}"


def storage_at(address: str, heartbeat_s: int = 1) -> ProxiedStorage:
    storage = open_storage(address, heartbeat_s)
    assert isinstance(storage, ProxiedStorage)
    return storage


@pytest.mark.slow
def test_two_workers_behind_a_proxy_run_each_trial_once(tmp_path: Path, address: str) -> None:
    workers = [start_worker(tmp_path, address, "shared", "6", "0.05") for _ in range(2)]
    outputs = [worker.communicate(timeout=WAIT_S)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(outputs)
    study = study_in(tmp_path, "shared", storage=address, trials=6)
    assert states(study) == ["COMPLETE"] * 6
    assert len(children(study)) == 6
    begun = [int(line.split()[1]) for text in outputs for line in text.splitlines() if line.startswith("begins")]
    assert sorted(begun) == list(range(6))


@pytest.mark.slow
def test_a_worker_killed_behind_a_proxy_is_noticed_and_its_trial_retried(tmp_path: Path, address: str) -> None:
    worker = start_worker(tmp_path, address, "killed", "2", "600", "1")
    try:
        assert next(line for line in worker.lines() if line.startswith("begins"))
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    study = study_in(tmp_path, "killed", storage=address, trials=2)
    assert study.run(bowl).states == {"complete": 2, "replaced": 1}
    trials = study.study.get_trials()
    (killed,) = [trial for trial in trials if trial.state is TrialState.FAIL]
    (retry,) = [trial for trial in trials if trial.system_attrs.get("retry_history") == [killed.number]]
    assert retry.params == killed.params


@pytest.mark.slow
def test_a_proxy_that_is_killed_and_started_again_ends_no_study(tmp_path: Path) -> None:
    storage, port = f"sqlite:///{tmp_path}/studies.db", free_port()
    restarted: list[int] = []

    with proxy_of(storage, tmp_path, port) as first:
        study = study_in(tmp_path, "outage", storage=f"grpc://localhost:{port}", trials=4)
        later = proxy_of(storage, tmp_path, port)

        def objective(attempt: Attempt) -> TrialResult:
            if attempt.trial.number == 1 and not restarted:
                first.send_signal(signal.SIGKILL)
                first.wait()
                restarted.append(later.__enter__().pid)
            return bowl(attempt)

        try:
            summary = study.run(objective)
        finally:
            later.__exit__(None, None, None)
    assert summary.states == {"complete": 4}
    assert len(restarted) == 1


@pytest.mark.slow
def test_a_proxy_that_stays_away_ends_the_worker_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_storage, "OUTAGE_S", 5)
    port = free_port()
    with proxy_of(f"sqlite:///{tmp_path}/studies.db", tmp_path, port) as program:
        study = study_in(tmp_path, "lost", storage=f"grpc://localhost:{port}", trials=2)

        def objective(attempt: Attempt) -> TrialResult:
            program.send_signal(signal.SIGKILL)
            program.wait()
            return bowl(attempt)

        with pytest.raises(
            StudiesLostError, match=r"grpc://localhost:\d+ cannot be reached any more \(\w+\). Once they"
        ):
            study.run(objective)


@pytest.mark.slow
def test_the_lock_has_one_holder_and_ends_with_its_process(tmp_path: Path, address: str) -> None:
    order: list[str] = []
    first, second = StudyLock(storage_at(address), "s"), StudyLock(storage_at(address), "s")
    code = (
        "import sys, time; from tuning.storage import *; lock = StudyLock(open_storage(sys.argv[1], 1), 's').held()\n"
    )
    code += "with lock: print('held', flush=True); time.sleep(600)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, address], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": _ROOT}
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        call = storage_at(address)._channel.unary_stream("/spondylo_ml.Studies/HoldLock")(b"s", timeout=0.5)
        with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
            next(call)
    finally:
        holder.kill()
        holder.communicate()
    with first.held() as release:
        order.append("first")
        release()
        with second.held():
            order.append("second")
    assert order == ["first", "second"]


_ROOT = str(Path(__file__).resolve().parents[2])


@pytest.mark.slow
def test_workers_with_and_without_the_proxy_share_one_lock(tmp_path: Path, address: str) -> None:
    url, port = f"sqlite:///{tmp_path}/studies.db", free_port()
    with proxy_of(url, tmp_path, port):
        direct = StudyLock(open_storage(url, 1), "s")
        proxied = storage_at(f"grpc://localhost:{port}")
        with direct.held():
            call = proxied._channel.unary_stream("/spondylo_ml.Studies/HoldLock")(b"s", timeout=0.5)
            with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
                next(call)
        with proxied.lock("s"):
            pass
        with direct.held():
            pass


@pytest.mark.slow
def test_a_trial_is_stale_after_the_silence_that_its_worker_allows(address: str) -> None:
    patient, impatient = storage_at(address, 100), storage_at(address, 1)
    study_id = patient.create_new_study([optuna.study.StudyDirection.MINIMIZE], "silent")
    trial_id = patient.create_new_trial(study_id)
    assert impatient._get_stale_trial_ids(study_id) == [], "no sign of life was ever sent"
    patient.record_heartbeat(trial_id)
    deadline = time.monotonic() + WAIT_S
    while impatient._get_stale_trial_ids(study_id) != [trial_id]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert patient._get_stale_trial_ids(study_id) == []
    impatient.record_heartbeat(trial_id)
    assert impatient._get_stale_trial_ids(study_id) == []


def test_an_address_without_a_proxy_is_rejected_with_the_command_that_starts_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tuning.storage.CONNECT_S", 0.3)
    port = free_port()
    advice = rf"storage grpc://localhost:{port}: no proxy has answered .*python -m tuning\.proxy --storage"
    with pytest.raises(ConfigError, match=advice):
        require_storage(f"grpc://localhost:{port}")
    with pytest.raises(ConfigError, match=r"storage grpc://: no host; a proxy is given as grpc://host:13000"):
        require_storage("grpc://")


def test_optunas_own_proxy_is_told_from_ours(tmp_path: Path) -> None:
    from optuna.storages._grpc.server import make_server

    port = free_port()
    server = make_server(optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/studies.db"), "localhost", port)
    server.start()
    try:
        with pytest.raises(ConfigError, match=r"another program or Optuna's own proxy\. Start it with"):
            require_storage(f"grpc://localhost:{port}")
    finally:
        server.stop(None)


def test_a_proxy_of_a_proxy_or_on_a_used_port_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert proxy.main(["--storage", "grpc://localhost:1"]) == 2
    assert "a proxy needs the database itself" in capsys.readouterr().err
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        assert proxy.main(["--host", "127.0.0.1", "--port", str(used.getsockname()[1])]) == 2
    assert "it is in use, or no address of this machine" in capsys.readouterr().err


def test_a_missing_grpcio_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)  # importing it raises ImportError
    assert proxy.main([]) == 2
    assert "the proxy needs grpc, which is not installed" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"is reached through grpcio, which is not installed: .*\[proxy\]"):
        require_storage("grpc://localhost:13000")
