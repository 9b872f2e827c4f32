"""`tune`: the command of a package that only a clone has, imported when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

from spondylo_ml.cli.command import Command
from spondylo_ml.cli.overview import TUNE
from spondylo_ml.cli.users_folder import PROJECT
from spondylo_ml.errors import ConfigError


def tune_command() -> Command:
    """The command.

    Raises:
        ConfigError: this installation is not a clone.
    """
    if not (PROJECT / "tuning" / "cli.py").is_file():
        raise ConfigError(
            f"{TUNE} needs the folder tuning of a clone of the project, which {PROJECT} is not: clone it, and call "
            "pip install -e '.[tuning]' there"
        )
    if str(PROJECT) not in sys.path:
        sys.path.append(str(PROJECT))  # an editable installation has only the package itself on the path
    command = import_module("tuning.cli").TUNE
    assert isinstance(command, Command)
    return command
