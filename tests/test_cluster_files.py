"""The Slurm scripts, Kubernetes manifests and containers of docs/ and deploy/, as far as they can be checked alone."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from spondylo_ml.cli.commands import COMMANDS
from tuning.cli import TUNE

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = [
    (path.name, block)
    for path in sorted((ROOT / "docs").glob("*.md"))
    for block in re.findall(r"^```\w*\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M)
]
SLURM = [pytest.param(block, id=name) for name, block in BLOCKS if "#SBATCH" in block]
MANIFESTS = [
    pytest.param(document, id=f"{name} {document['kind']}")
    for name, block in BLOCKS
    if "apiVersion:" in block
    for document in yaml.safe_load_all(block)
]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

SBATCH = {
    "account", "array", "cpus-per-task", "gres", "job-name", "mem", "nodes", "ntasks-per-node", "output", "partition",
    "signal", "time",
}  # fmt: skip
JOB = {"parallelism", "completions", "backoffLimit", "template", "activeDeadlineSeconds", "ttlSecondsAfterFinished"}
POD = {"restartPolicy", "terminationGracePeriodSeconds", "containers", "volumes"}
CONTAINER = {"name", "image", "workingDir", "command", "args", "env", "resources", "volumeMounts"}


def test_the_pages_have_such_files() -> None:
    assert (len(SLURM), len(MANIFESTS)) == (3, 1)


@pytest.mark.parametrize("script", SLURM)
def test_a_slurm_script_is_valid_and_its_command_is_accepted(script: str) -> None:
    assert script.startswith("#!/bin/bash\n#SBATCH "), "Slurm reads its options before the first command alone"
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    options = re.findall(r"--([\w-]+)=", " ".join(re.findall(r"^#SBATCH (.*)$", script, re.M)))
    assert options
    assert set(options) <= SBATCH
    _accept(shlex.split(script.replace("\\\n", " "), comments=True))


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_kubernetes_job_is_whole_and_its_command_is_accepted(manifest: dict[str, Any]) -> None:
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    assert DNS_LABEL.fullmatch(manifest["metadata"]["name"])
    spec, pod = manifest["spec"], manifest["spec"]["template"]["spec"]
    assert spec.keys() <= JOB
    assert pod.keys() <= POD
    assert pod["restartPolicy"] in ("OnFailure", "Never"), "a job accepts no other"
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    (container,) = pod["containers"]
    assert {"name", "image", "command"} <= container.keys() <= CONTAINER
    assert DNS_LABEL.fullmatch(container["name"])
    assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
    for variable in container["env"]:
        assert variable.keys() in ({"name", "value"}, {"name", "valueFrom"}), variable
        assert isinstance(variable.get("value", ""), str), variable
    assert all(isinstance(word, str) for word in container["command"]), "Kubernetes refuses numbers in a command"
    _accept(container["command"])


def test_the_services_of_the_containers_refer_to_each_other() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        assert ("image" in service) != ("build" in service)
        assert set(service.get("depends_on", {})) <= set(services)
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / "deploy" / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
    assert "healthcheck" in services["postgres"], "mlflow waits for it"
    hosts = re.findall(r"@(\w+)/", " ".join(map(str, services["mlflow"]["environment"].values())))
    assert set(hosts) == {"postgres"}
    assert (ROOT / "deploy" / services["mlflow"]["build"] / "Dockerfile").is_file()


def test_a_wrong_option_in_such_a_file_is_noticed() -> None:
    with pytest.raises(Exception, match="trails"):
        _accept(["python", "-m", "tuning", "--trails", "100"])
    with pytest.raises(AssertionError):
        _accept(["python", "train.py"])


def _accept(words: list[str]) -> None:
    """Parse the calls of this project among the words of a script; fails if there is none."""
    calls = list(_calls(words))
    assert calls
    for module, *arguments in calls:
        if module == "spondylo_ml":
            name, *arguments = arguments
            (TUNE if name == TUNE.name else COMMANDS[name]).parse(arguments)
        else:
            TUNE.parse(arguments)


def _calls(words: list[str]) -> Iterator[list[str]]:
    """Module and arguments of each `-m` that starts this project."""
    for place, word in enumerate(words[:-1]):
        if word == "-m" and words[place + 1] in ("spondylo_ml", "tuning"):
            yield words[place + 1 :]
