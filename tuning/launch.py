"""The command `python -m tuning.launch`: start the workers of a study on Slurm, or as processes of this machine.

    python -m tuning.launch --workers 8 --gpus 1 --hours 8 -- --model hrnet_w32 --trials 100 --study hrnet --storage ...

What follows `--` are the options of `tune`. They are checked before anything is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from spondylo_ml.cli import run_to_end
from spondylo_ml.cli.command import Command
from spondylo_ml.errors import ConfigError
from spondylo_ml.folders import require_writable
from tuning.cli import TUNE
from tuning.launched_worker import work
from tuning.options import LaunchOptions

SIGNAL_BEFORE_END_S = 120
"""How long before its time is up a worker is asked to end, so that it returns its trial."""


def launch(options: LaunchOptions, arguments: Sequence[str]) -> str:
    """Start the workers; says which jobs they are, and where their output goes.

    Args:
        arguments: options of `tune` for each worker.

    Raises:
        ConfigError: there is no Slurm here.
    """
    import submitit

    try:
        executor = submitit.AutoExecutor(options.logs, cluster=options.on)
    except RuntimeError:
        raise ConfigError(
            "on=slurm: there is no srun here; log in to a machine of the cluster, or give --on local"
        ) from None
    executor.update_parameters(
        name="tune",
        timeout_min=round(60 * options.hours),
        cpus_per_task=options.cpus,
        gpus_per_node=options.gpus,
        mem_gb=options.memory_gb,
        slurm_signal_delay_s=SIGNAL_BEFORE_END_S,
        slurm_partition=options.partition,
    )
    jobs = executor.map_array(work, [list(arguments)] * options.workers)
    return f"started {len(jobs)} worker(s): {', '.join(job.job_id for job in jobs)}; their output: {options.logs}/"


def check_launch(options: LaunchOptions, arguments: Sequence[str]) -> None:
    """Check the package, and the options of `tune`.

    Raises:
        ConfigError: submitit is missing, or an option of `tune` is wrong.
    """
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ConfigError(
            "starting workers needs submitit, which is not installed: in a clone, pip install -e '.[tuning,slurm]'"
        ) from None
    require_writable(options.logs)
    TUNE.check(*TUNE.parse(arguments))


LAUNCH = Command(
    "launch",
    LaunchOptions,
    "tuning.launch:launch",
    "Start the workers of a study on Slurm, or as processes of this machine; the options of `tune` follow `--`.",
    check_launch,
    program="python -m tuning.launch",
    is_project_entry=False,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start workers: the exit code is 0, or 2 for bad input."""
    command_line = list(sys.argv[1:] if arguments is None else arguments)
    end = command_line.index("--") if "--" in command_line else len(command_line)
    return run_to_end(lambda: _run(command_line[:end], command_line[end + 1 :]), LAUNCH.name)


def _run(own: list[str], of_tune: list[str]) -> int:
    (options,) = LAUNCH.parse(own)
    # submitit signals a job before its end; by SIGTERM a worker returns its trial. Read when submitit is imported.
    os.environ["SUBMITIT_PREEMPT_SIGNAL"] = "TERM"
    check_launch(options, of_tune)
    sys.stdout.write(launch(options, of_tune) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
