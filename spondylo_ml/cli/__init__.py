"""The command line: `python -m spondylo_ml <verb> --name value ...`.

Nothing slow is imported before the arguments are known to be right.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence

from spondylo_ml.cli.flags import FLAGS
from spondylo_ml.cli.users_folder import enter_users_folder
from spondylo_ml.cli.verbs import VERBS
from spondylo_ml.errors import ConfigError, SpondyloError, unknown_name

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130

OF_PLACES = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
)  # fmt: skip
"""Errors of the system that say what is wrong with a place: its rights, its room, its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; its exit code.

    0; 1 where trainings of a benchmark failed; 2 for bad input; 3 where `predict` could not read some films; 130 for
    Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    return run_to_end(lambda: _run(given), "interrupted")


def run_to_end(work: Callable[[], int], interrupted: str) -> int:
    """The exit code of `work`, done where the user is; an error that a user can act on is one line on stderr.

    Args:
        interrupted: what is printed after Ctrl-C.
    """
    try:
        enter_users_folder()
        return work()
    except SpondyloError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BAD_INPUT
    except OSError as error:
        if error.errno not in OF_PLACES:
            raise
        where = error.filename if error.filename is not None else "a file"
        sys.stderr.write(f"error: {where}: {error.strerror}\n")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write(f"{interrupted}\n")
        return EXIT_INTERRUPTED


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0 if arguments else EXIT_BAD_INPUT
    verb = VERBS.get(arguments[0])
    if verb is None:
        raise ConfigError(unknown_name("verb", arguments[0], VERBS))
    return verb(arguments[1:]) or 0


def _usage() -> str:
    lines = [f"  {name:11} {flags.__doc__}\n" for name, flags in FLAGS.items()]
    head = "usage: python -m spondylo_ml <verb> [--name value ...]\n\n"
    return head + "".join(lines) + "\n<verb> --help lists its options.\n"
