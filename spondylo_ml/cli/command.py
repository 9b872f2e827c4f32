"""What a command is, and how it runs: parse the options, check them quickly, then import and call its workflow."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic_settings import BaseSettings

from spondylo_ml.cli.flags import flags_class, given_values
from spondylo_ml.cli.help import HELP, HELP_ALL, full_help, short_help
from spondylo_ml.cli.requirements import require_run_ids
from spondylo_ml.config import Config, validate
from spondylo_ml.config.section import Section


def _nothing_to_check(*arguments: Any) -> None:
    """The check of a command without one."""


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        options: the command's own options.
        workflow: the function that does the work, as `module:function`; imported only after the check.
        summary: what the command does, in one sentence.
        check: finds bad input in about a second, before anything slow is imported; takes what the workflow takes.
        describe: the function that turns the workflow's result into the last lines on the terminal, as
            `module:function`; empty if the result is that text.
        takes_config: whether the command also takes every value of a training run's configuration. Its workflow then
            has a second argument: these values as the user has set them, nested.
        exit_code_if_failed: returned if the result's `failed` is not empty.
        common: the options that `--help` shows, short or dotted; empty: all of `options`.
        program: how the command is called, if it is not one of `python -m spondylo_ml`.
        is_project_entry: whether MLproject has it too, for `mlflow run`.
    """

    name: str
    options: type[Section]
    workflow: str
    summary: str
    check: Callable[..., None] = _nothing_to_check
    describe: str = ""
    takes_config: bool = False
    exit_code_if_failed: int = 0
    program: str = ""
    common: tuple[str, ...] = ()
    is_project_entry: bool = True

    @property
    def call(self) -> str:
        """How the command is called in a shell, without its options."""
        return self.program or f"python -m spondylo_ml {self.name}"

    @property
    def flags(self) -> type[BaseSettings]:
        """A class with all options of the command, those of the configuration included."""
        return flags_class(self.name, self.summary, (self.options, Config) if self.takes_config else (self.options,))

    def parse(self, arguments: Sequence[str]) -> tuple[Any, ...]:
        """The arguments of the command's check and workflow; `--help` and `--help-all` print the help and exit.

        Raises:
            ConfigError: an unknown option, or a bad value.
        """
        if any(argument in (*HELP, HELP_ALL) for argument in arguments):
            sys.stdout.write(self._help(arguments))
            raise SystemExit(0)
        values = given_values(self.flags, arguments, self.call)
        if not self.takes_config:
            return (validate(self.options, values),)
        options = {name: values.pop(name) for name in self.options.model_fields if name in values}
        return validate(self.options, options), values

    def _help(self, arguments: Sequence[str]) -> str:
        others = [argument for argument in arguments if argument not in (*HELP, HELP_ALL)]
        head = (f"usage: {self.call} [--name value ...]", "", self.summary)
        if HELP_ALL in arguments:
            return full_help(self.options, self.flags, head, others)
        return short_help(self.options, self.flags, self.common, head, others)

    def run(self, arguments: Sequence[str]) -> int:
        """Run the command and print its summary; its exit code.

        Raises:
            SpondyloError: bad input, or an error of the workflow.
        """
        options, *values = self.parse(arguments)
        parsed = (require_run_ids(options), *values)
        self.check(*parsed)
        if self.takes_config:  # what trains imports the most, many seconds of it
            sys.stdout.write(f"{self.name}: the options are valid; loading PyTorch, Lightning and MLflow\n")
            sys.stdout.flush()
        workflow = load(self.workflow)
        describe = load(self.describe) if self.describe else str
        _start_logging(self.workflow.split(".")[0])
        result = workflow(*parsed)
        sys.stdout.write(describe(result).rstrip("\n") + "\n")
        sys.stdout.flush()
        return self.exit_code_if_failed if getattr(result, "failed", None) else 0


def load(reference: str) -> Callable[..., Any]:
    """Import the function that a reference such as `spondylo_ml.workflows.audit:audit` names."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


def _start_logging(package: str) -> None:
    """Print our own log lines; called after the imports, because Lightning and MLflow set their own levels."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    for name in {"spondylo_ml", package}:
        logging.getLogger(name).setLevel(logging.INFO)
    for name in ("lightning.pytorch", "lightning.fabric", "mlflow", "mlflow.system_metrics", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
