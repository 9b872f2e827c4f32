"""The command `python -m tuning.proxy`: serve the database of studies to many workers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from spondylo_ml.cli import run_to_end
from spondylo_ml.cli.command import Command
from spondylo_ml.errors import ConfigError
from tuning.options import ProxyOptions


def check_proxy(options: ProxyOptions) -> None:
    """Check the packages, and that the database can be reached.

    Raises:
        ConfigError: one of them is missing.
    """
    try:
        import grpc  # noqa: F401
        import optuna  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the proxy needs {error.name}, which is not installed: in a clone, pip install -e '.[tuning,proxy]'"
        ) from None
    from tuning.storage import PROXY, database_kind, require_storage

    if database_kind(options.storage) == PROXY:
        raise ConfigError("storage: a proxy needs the database itself, such as postgresql+psycopg://user@host/studies")
    require_storage(options.storage)


PROXY_COMMAND = Command(
    "proxy",
    ProxyOptions,
    "tuning.proxy_server:serve",
    "Serve the database of studies over gRPC, to many workers through few connections to it.",
    check_proxy,
    program="python -m tuning.proxy",
    is_project_entry=False,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it: the exit code is 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM."""
    command_line = list(sys.argv[1:] if arguments is None else arguments)
    return run_to_end(lambda: PROXY_COMMAND.run(command_line), PROXY_COMMAND.name)


if __name__ == "__main__":
    sys.exit(main())
