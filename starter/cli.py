"""The command line of the starter model: `python -m starter --name value ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spondylo_ml.cli import run_to_end
from spondylo_ml.cli.command import Command
from spondylo_ml.config.paths import expanded
from spondylo_ml.folders import require_writable
from starter.options import StarterOptions

PROGRAM = "python -m starter"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the starter model; the exit code is 0, 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM."""
    command_line = list(sys.argv[1:] if arguments is None else arguments)
    return run_to_end(
        lambda: STARTER_COMMAND.run(command_line), STARTER_COMMAND.name, "The same command resumes the training run."
    )


def check_starter(options: StarterOptions) -> None:
    """Check the recipe and both folders."""
    from starter.recipe import starter_config

    starter_config(options.smoke)
    for folder in (options.work, options.to):
        require_writable(expanded(folder))


STARTER_COMMAND = Command(
    "starter",
    StarterOptions,
    "starter.make:make_starter",
    "Train the starter model on synthetic films and write it into the package; the same command resumes it.",
    check_starter,
    "starter.make:summary_text",
    program=PROGRAM,
)
