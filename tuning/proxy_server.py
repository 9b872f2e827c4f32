"""The proxy in front of the database of studies: many workers share its few connections and its one lock per study.

Optuna's service answers Optuna's calls; a small service of our own adds heartbeats and the lock (`grpc_storage`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import NoReturn

import grpc
from optuna.storages import RDBStorage, get_storage
from optuna.storages._grpc.auto_generated.api_pb2_grpc import add_StorageServiceServicer_to_server
from optuna.storages._grpc.servicer import OptunaStorageProxyService

from spondylo_ml.errors import ConfigError
from tuning.grpc_storage import HEARTBEAT, KEEPALIVE, LOCK, OWN_SERVICE, STALE_TRIALS, as_json
from tuning.options import ProxyOptions
from tuning.storage import StudyLock, open_database, without_password

log = logging.getLogger(__name__)

THREADS = 10
"""Calls that are answered at the same time; below the 15 connections of SQLAlchemy's pool, so that locks find one."""

BEAT_S = 1
"""The database wants an interval; which trials are stale is decided by what each worker asks."""

ACCEPTED = (("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000), ("grpc.so_reuseport", 0))
"""Signs of life from idle workers, and no second proxy on the same port."""


class StudiesService:
    """Our own calls, beside those of Optuna."""

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asking = threading.Lock()

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """The handler of each call."""
        return {
            HEARTBEAT: grpc.unary_unary_rpc_method_handler(self.record_heartbeat, json.loads, as_json),
            STALE_TRIALS: grpc.unary_unary_rpc_method_handler(self.stale_trials, json.loads, as_json),
            LOCK: grpc.unary_stream_rpc_method_handler(self.hold_lock),
        }

    def record_heartbeat(self, request: dict[str, int], _: grpc.ServicerContext) -> bool:
        """Note that a trial's worker lives, by the database's clock; gRPC takes None for no answer at all."""
        self._storage.record_heartbeat(request["trial_id"])
        return True

    def stale_trials(self, request: dict[str, int], _: grpc.ServicerContext) -> list[int]:
        """Ids of the study's running trials without a sign of life for `silent_s` seconds."""
        with self._asking:
            self._storage.grace_period = request["silent_s"]
            return self._storage._get_stale_trial_ids(request["study_id"])

    async def hold_lock(self, request: bytes, context: grpc.aio.ServicerContext) -> None:
        """Take the lock of a study, say so by an empty answer, and hold it until the worker's call ends.

        It is the database's lock, so that workers without the proxy may share the study. Only one call at a time waits
        for it; the others wait here, without a thread or a connection.
        """
        async with self._turns[request.decode()]:
            lock = ExitStack()
            held = StudyLock(self._storage, request.decode()).held()
            taking = asyncio.create_task(asyncio.to_thread(lock.enter_context, held))
            try:
                await asyncio.shield(taking)
                await context.write(b"")
                await asyncio.Future()  # cancelled when the worker ends its call, or its connection breaks
            finally:
                await taking
                await asyncio.to_thread(lock.close)


def serve(options: ProxyOptions) -> NoReturn:
    """Serve the database until Ctrl-C or SIGTERM.

    Raises:
        ConfigError: the database cannot be opened, or the address is in use.
    """
    asyncio.run(_serve(options))
    raise AssertionError("a server ends by an exception only")


async def _serve(options: ProxyOptions) -> None:
    storage = open_database(options.storage, BEAT_S)
    server = grpc.aio.server(ThreadPoolExecutor(THREADS), options=[*KEEPALIVE, *ACCEPTED])
    add_StorageServiceServicer_to_server(OptunaStorageProxyService(get_storage(storage)), server)  # type: ignore[no-untyped-call]
    own = grpc.method_handlers_generic_handler(OWN_SERVICE, StudiesService(storage).handlers())
    server.add_generic_rpc_handlers((own,))
    address = f"{options.host}:{options.port}"
    try:
        server.add_insecure_port(address)
    except RuntimeError:
        raise ConfigError(f"{address} cannot be listened on: it is in use, or no address of this machine") from None
    await server.start()
    log.info("studies of %s are served to workers with --storage grpc://%s", without_password(options.storage), address)
    await server.wait_for_termination()
