"""A worker's connection to the proxy of `python -m tuning.proxy`, as a storage of Optuna.

Optuna's own client has neither heartbeats nor a lock. Both are added here as three calls of our own, so that a study
keeps its promises behind a proxy: a lost worker is noticed, and one worker at a time changes what is enqueued.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from optuna import Study
from optuna.storages import GrpcStorageProxy
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial

from spondylo_ml.errors import SpondyloError

if TYPE_CHECKING:
    import grpc  # an extra: imported where it is used

log = logging.getLogger(__name__)

OUTAGE_S = 300
"""How long a worker waits for a proxy that does not answer, which may be restarting."""

OPTUNA_SERVICE, OWN_SERVICE = "optuna.StorageService", "spondylo_ml.Studies"
HEARTBEAT, STALE_TRIALS, LOCK = "RecordHeartbeat", "StaleTrials", "HoldLock"

NO_STUDY = -1
"""An id that no study has: asking for its trials only asks whether the proxy answers."""

SENT_ONCE = ("CreateNewStudy", "DeleteStudy", "CreateNewTrial", "SetTrialStateValues")
"""Optuna's calls that are not sent again when the connection breaks, because a second one could create or take another
trial."""

KEEPALIVE = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
"""For both sides: a machine that lost its power, and with it the lock that it held, is noticed within 40 s."""


class StudiesLostError(SpondyloError):
    """The database of studies, or the proxy in front of it, no longer answers."""


class ProxiedStorage(GrpcStorageProxy, BaseHeartbeat):
    """The database behind a proxy.

    Args:
        heartbeat_s: seconds between two signs of life of a trial.
        silent_s: a trial is stale after this long without one.
    """

    def __init__(self, host: str, port: int, heartbeat_s: int, silent_s: int) -> None:
        self._heartbeat_s, self._silent_s = heartbeat_s, silent_s
        super().__init__(host=host, port=port)

    def _setup(self) -> None:
        """Connect as Optuna does, but wait out a proxy that restarts."""
        import grpc
        from optuna.storages._grpc.auto_generated.api_pb2_grpc import StorageServiceStub
        from optuna.storages._grpc.client import GrpcClientCache

        options = [*KEEPALIVE, ("grpc.max_receive_message_length", -1), ("grpc.service_config", _service_config())]
        self._channel = grpc.insecure_channel(f"{self._host}:{self._port}", options=options)
        self._stub = StorageServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._cache = GrpcClientCache(self._stub)

    def require_answer(self, timeout_s: float) -> None:
        """Check that a proxy of this project answers.

        Raises:
            StudiesLostError: nothing answers, or another server does.
        """
        import grpc

        try:
            self.wait_server_ready(timeout_s)
            self._call(STALE_TRIALS, timeout_s, study_id=NO_STUDY, silent_s=self._silent_s)
        except ConnectionError:
            raise StudiesLostError(f"no proxy has answered for {timeout_s:g} s") from None
        except grpc.RpcError as error:
            if _is_silence(error):
                raise StudiesLostError(f"it accepts connections, but no call was answered in {timeout_s:g} s") from None
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise StudiesLostError("what answers there is another program or Optuna's own proxy") from None
            raise

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of this name; the proxy releases it when this connection ends, however it does.

        Raises:
            StudiesLostError: the proxy does not answer.
        """
        call = self._taken(name)
        try:
            yield
        finally:
            call.cancel()

    def _taken(self, name: str) -> grpc.Call:
        import grpc

        hold = self._channel.unary_stream(f"/{OWN_SERVICE}/{LOCK}")
        while True:
            self.require_answer(OUTAGE_S)
            call = hold(name.encode())
            try:
                next(call)  # the one answer: the lock is held from now on
                return call
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                log.warning("the proxy of the studies does not answer; waiting for it up to %d s", OUTAGE_S)

    def record_heartbeat(self, trial_id: int) -> None:
        """See `BaseHeartbeat`. A lost one is only logged: an error would end the thread that sends the next."""
        import grpc

        try:
            self._call(HEARTBEAT, trial_id=trial_id)
        except grpc.RpcError as error:
            if not _is_silence(error):
                raise
            log.warning("the proxy did not take the sign of life of a trial; the next may reach it")

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        return [int(trial_id) for trial_id in self._call(STALE_TRIALS, study_id=study_id, silent_s=self._silent_s)]

    def get_heartbeat_interval(self) -> int:
        """See `BaseHeartbeat`."""
        return self._heartbeat_s

    def get_heartbeat_stale_trial_callback(self) -> Callable[[Study, FrozenTrial], None] | None:
        """None: a worker replaces stale trials itself."""
        return None

    def _call(self, method: str, timeout_s: float | None = None, **request: int) -> Any:
        send = self._channel.unary_unary(f"/{OWN_SERVICE}/{method}", as_json, json.loads)
        return send(request, timeout=timeout_s)


def _is_silence(error: grpc.RpcError) -> bool:
    """Whether the proxy is away, rather than that it answered with an error."""
    return error.code().name in ("DEADLINE_EXCEEDED", "UNAVAILABLE")


def as_json(value: object) -> bytes:
    """A message of our own calls."""
    return json.dumps(value).encode()


def _service_config() -> str:
    """How long calls wait for the proxy, and which are sent again when the connection breaks.

    https://github.com/grpc/grpc/blob/master/doc/service_config.md
    """
    patient = {"waitForReady": True, "timeout": f"{OUTAGE_S}s"}
    again = {
        "maxAttempts": 5,
        "initialBackoff": "0.5s",
        "maxBackoff": "10s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    methods = [
        {"name": [{"service": OPTUNA_SERVICE, "method": method} for method in SENT_ONCE], **patient},
        {"name": [{"service": OWN_SERVICE, "method": LOCK}]},  # waits for other workers, however long
        {"name": [{"service": OPTUNA_SERVICE}, {"service": OWN_SERVICE}], **patient, "retryPolicy": again},
    ]
    return json.dumps({"methodConfig": methods})
