"""The command line: `python -m spondylo_ml <command> --name value ...`.

Nothing slow is imported before the arguments are known to be right.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spondylo_ml.cli.opened_run import explained_in_run
from spondylo_ml.cli.overview import RESUMES_STUDY, SUMMARIES, TUNE
from spondylo_ml.cli.several_processes import runs_here
from spondylo_ml.cli.users_folder import enter_users_folder
from spondylo_ml.errors import ConfigError, SpondyloError, unknown_name
from spondylo_ml.termination import Terminated, cause_of, raise_on_signals
from spondylo_ml.version import __version__

if TYPE_CHECKING:
    from spondylo_ml.cli.command import Command

EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_TERMINATED = 2, 130, 143

PATH_ERRORS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
)  # fmt: skip
"""Errors of the operating system that the user can act on: permissions, free space or name of a path."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code.

    0; 1 if training runs of a benchmark failed; 2 for bad input; 3 if `predict`, `next` or `deidentify` could not read
    some films, or `predict` could not write their DICOM objects; 130 for Ctrl-C; 143 for SIGTERM.
    """
    command_line = list(sys.argv[1:] if arguments is None else arguments)
    command = command_line[0] if command_line else ""
    return run_to_end(lambda: _run(command_line), command, RESUMES_STUDY if command == TUNE else "")


def run_to_end(work: Callable[[], int], command: str, advice: str = "") -> int:
    """Run `work` in the user's folder and return its exit code; an error that a user can act on is one line on stderr.

    Args:
        command: the name of the command.
        advice: how to go on after Ctrl-C or SIGTERM.
    """
    try:
        with raise_on_signals(), explained_in_run(command):
            enter_users_folder()
            return work()
    except SpondyloError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BAD_INPUT
    except OSError as error:
        if error.errno not in PATH_ERRORS:
            raise
        path = error.filename if error.filename is not None else "a file"
        sys.stderr.write(f"error: {path}: {error.strerror}\n")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt as interrupt:
        notes = getattr(interrupt, "__notes__", [])
        how_to_go_on = [advice] if advice else notes[-1:]  # the last one is that of the outermost run
        sys.stderr.write("\n".join([f"stopped by {cause_of(interrupt)}", *how_to_go_on]) + "\n")
        return EXIT_TERMINATED if isinstance(interrupt, Terminated) else EXIT_INTERRUPTED


def _run(arguments: list[str]) -> int:
    if not runs_here(arguments):
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0 if arguments else EXIT_BAD_INPUT
    if arguments[0] == "--version":
        sys.stdout.write(f"spondylo_ml {__version__}\n")
        return 0
    if arguments[0] == "completion":
        from spondylo_ml.cli.completion import completion_script

        sys.stdout.write(completion_script(arguments[1:]))
        return 0
    if arguments[0] not in SUMMARIES:
        raise ConfigError(unknown_name("command", arguments[0], SUMMARIES))
    return _command(arguments[0]).run(arguments[1:])


def _command(name: str) -> Command:
    """The command, whose options take a while to import."""
    if name == TUNE:
        from spondylo_ml.cli.studies import tune_command

        return tune_command()
    from spondylo_ml.cli.commands import COMMANDS

    return COMMANDS[name]


def _usage() -> str:
    lines = [f"  {name:13} {summary}\n" for name, summary in SUMMARIES.items()]
    head = "usage: python -m spondylo_ml <command> [--name value ...]\n\n"
    foot = "\n<command> --help lists its common options, --help-all all of them; --version prints the version.\n"
    return head + "".join(lines) + foot
