"""The MLflow server of a group, as deploy/start-mlflow runs it: accounts, PostgreSQL, artefacts, webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from queue import Queue

import mlflow
import psycopg
import pytest
import requests
import yaml
from commands import TINY, start
from cryptography.fernet import Fernet
from mlflow.entities.webhook import WebhookAction, WebhookEntity, WebhookEvent
from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient
from mlflow.tracking import MlflowClient
from servers import free_port, postgres, wait_until_healthy

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ADMIN, ADA, BOB = ("admin", "the-admins-password"), ("ada", "a-password-of-ada"), ("bob", "a-password-of-bob")
TRAININGS = 8


@contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """Start deploy/start-mlflow on an empty PostgreSQL; its address."""
    if find_spec("flask_wtf") is None:
        pytest.skip("accounts need Flask-WTF: pip install 'mlflow[auth]'")
    port, log = free_port(), folder / "server.log"
    with postgres() as runs:
        accounts = runs.replace("/postgres?", "/accounts?")
        with psycopg.connect(runs.replace("+psycopg", ""), autocommit=True) as database:
            database.execute((DEPLOY / "accounts.sql").read_text())
        settings = {
            "MLFLOW_RUNS_DATABASE": runs, "MLFLOW_ACCOUNTS_DATABASE": accounts,
            "MLFLOW_ARTEFACTS": str(folder / "artefacts"), "MLFLOW_PORT": str(port), "MLFLOW_WORKERS": "2",
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1], "MLFLOW_FLASK_SERVER_SECRET_KEY": "some-secret-key",
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
            # The receiver of this test is on the loopback, which a server rightly refuses to call.
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with log.open("w") as stream:
            process = subprocess.Popen(
                [DEPLOY / "start-mlflow"], cwd=folder, env=inherited | settings, stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_healthy(address, process, log)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def signed_in(address: str, account: tuple[str, str]) -> Iterator[MlflowClient]:
    """A client that acts as the account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", account[0])
        patch.setenv("MLFLOW_TRACKING_PASSWORD", account[1])
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(address)
        try:
            yield MlflowClient(address)
        finally:
            mlflow.set_tracking_uri(before)


@contextmanager
def receiver() -> Iterator[tuple[str, Queue[tuple[dict[str, str], bytes]]]]:
    """A server on the loopback that keeps what is sent to it: its address, and the headers and body of each call."""
    calls: Queue[tuple[dict[str, str], bytes]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.put((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Stay silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", calls
    finally:
        server.shutdown()


@pytest.mark.slow
def test_a_group_trains_at_once_on_one_server_and_strangers_are_refused(tmp_path: Path) -> None:
    with shared_server(tmp_path) as address:
        with signed_in(address, ADMIN):
            for account in (ADA, BOB):
                AuthServiceClient(address).create_user(*account)
        _train_at_once(address, tmp_path)
        _refuse_strangers(address)
        _tell_of_a_new_champion(address)


def _train_at_once(address: str, folder: Path) -> None:
    """Eight training runs log at once, and nothing of them is lost."""
    access = {
        "MLFLOW_TRACKING_URI": address, "MLFLOW_TRACKING_USERNAME": ADA[0], "MLFLOW_TRACKING_PASSWORD": ADA[1],
    }  # fmt: skip
    with signed_in(address, ADA):
        mlflow.create_experiment("group")
    programs = []
    for number in range(TRAININGS):
        (folder / str(number)).mkdir()
        options = ("--tracking.experiment", "group", "--tracking.run_name", f"run {number}")
        programs.append(start(folder / str(number), "train", *TINY, *options, **access))
    for program in programs:
        output, _ = program.communicate(timeout=1800)
        assert program.returncode == 0, output
    with signed_in(address, ADA) as client:
        runs = mlflow.search_runs(experiment_names=["group"], output_format="list")
        assert sorted(run.info.run_name for run in runs) == [f"run {number}" for number in range(TRAININGS)]
        for run in runs:
            assert run.info.status == "FINISHED"
            assert [m.step for m in client.get_metric_history(run.info.run_id, "val/mre_px512")] == [1, 2]
            assert "index.html" in [file.path for file in client.list_artifacts(run.info.run_id)]
            assert "unsent" not in " ".join(run.data.tags)


def _refuse_strangers(address: str) -> None:
    """Who has no account sees nothing, and who has one cannot write to the runs of others."""
    search = f"{address}/api/2.0/mlflow/experiments/search?max_results=10"
    assert requests.get(search, timeout=30).status_code == 401
    assert requests.get(search, auth=("ada", "wrong"), timeout=30).status_code == 401
    assert requests.get(search, auth=ADA, timeout=30).status_code == 200
    with signed_in(address, BOB) as client:
        (run, *_) = mlflow.search_runs(experiment_names=["group"], output_format="list")
        with pytest.raises(MlflowException, match=r"403|[Pp]ermission"):
            client.log_metric(run.info.run_id, "val/mre_px512", 0.0)


def _tell_of_a_new_champion(address: str) -> None:
    """A webhook on aliases is called when one is set, with a signature that its receiver can check."""
    secret = "a-secret-of-the-webhook"
    with receiver() as (url, calls), signed_in(address, ADMIN) as client:
        client.create_webhook(
            "champion", url, [WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)], secret=secret
        )
        client.create_registered_model("landmarks")
        with mlflow.start_run(experiment_id="0") as active:
            source = f"{active.info.artifact_uri}/model"
        client.create_model_version("landmarks", source, active.info.run_id)
        client.set_registered_model_alias("landmarks", "champion", "1")
        headers, body = calls.get(timeout=60)
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.{body.decode()}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    assert headers["x-mlflow-signature"] == "v1," + base64.b64encode(digest).decode()
    assert json.loads(body)["data"] == {"name": "landmarks", "alias": "champion", "version": "1"}


def test_each_way_of_starting_the_server_sets_what_the_script_requires() -> None:
    script = (DEPLOY / "start-mlflow").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", script))
    assert len(required) == 5
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert required <= set(compose["services"]["mlflow"]["environment"])
    unit = (DEPLOY / "spondylo-mlflow.service").read_text()
    page = (DEPLOY.parent / "docs" / "shared_server.md").read_text()
    (settings,) = re.findall(r"```\n(# /etc/spondylo-mlflow.env\n.*?)```", page, re.S)
    assert "EnvironmentFile=/etc/spondylo-mlflow.env" in unit
    assert required <= set(re.findall(r"^(\w+)=", settings, re.M))


@pytest.mark.parametrize("missing", ["MLFLOW_RUNS_DATABASE", "MLFLOW_FLASK_SERVER_SECRET_KEY"])
def test_the_script_names_a_setting_that_is_missing(missing: str) -> None:
    names = re.findall(r"\$\{(\w+):\?", (DEPLOY / "start-mlflow").read_text())
    settings = {name: "x" for name in names if name != missing} | {"PATH": os.environ["PATH"]}
    process = subprocess.run([DEPLOY / "start-mlflow"], env=settings, capture_output=True, text=True)
    assert process.returncode != 0
    assert missing in process.stderr
