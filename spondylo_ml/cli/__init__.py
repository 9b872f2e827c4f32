"""The command line: `python -m spondylo_ml <verb> --name value ...`.

Nothing slow is imported before the arguments are known to be right.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spondylo_ml.cli.flags import FLAGS
from spondylo_ml.cli.verbs import VERBS
from spondylo_ml.errors import ConfigError, SpondyloError, unknown_name

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; its exit code.

    0; 1 where trainings of a benchmark failed; 2 for bad input; 3 where `predict` could not read some films; 130 for
    Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            sys.stdout.write(_usage())
            return 0 if arguments else EXIT_BAD_INPUT
        verb = VERBS.get(arguments[0])
        if verb is None:
            raise ConfigError(unknown_name("verb", arguments[0], VERBS))
        return verb(arguments[1:]) or 0
    except SpondyloError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED


def _usage() -> str:
    lines = [f"  {name:11} {flags.__doc__}\n" for name, flags in FLAGS.items()]
    head = "usage: python -m spondylo_ml <verb> [--name value ...]\n\n"
    return head + "".join(lines) + "\n<verb> --help lists its options.\n"
