"""The command `tune`, also called as `python -m tuning --name value ...`.

It takes the options of the study, and any value of the configuration by its dotted name, which then holds for all
trials. Nothing slow is imported before they have been checked.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spondylo_ml.cli import run_to_end
from spondylo_ml.cli.command import Command
from spondylo_ml.cli.overview import RESUMES_STUDY, SUMMARIES
from spondylo_ml.cli.overview import TUNE as NAME
from spondylo_ml.cli.requirements import require_films, require_target
from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.errors import ConfigError
from spondylo_ml.folders import require_writable
from tuning.options import STUDIES, TuneOptions

if TYPE_CHECKING:
    from tuning.space import Space


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a study; the exit code is 0, 2 for bad input or a study that stopped, 130 for Ctrl-C, 143 for SIGTERM."""
    command_line = list(sys.argv[1:] if arguments is None else arguments)
    return run_to_end(lambda: TUNE.run(command_line), TUNE.name, RESUMES_STUDY)


def check_tune(options: TuneOptions, overrides: Mapping[str, Any]) -> None:
    """Check Optuna, the space, the films, the study's database, and where the runs are written."""
    _require_optuna()
    base = checked_space(options, overrides)[0].resolve({})
    require_films(base.data)
    _require_places(options)
    require_target(base.tracking.experiment, EXPERIMENT)


TUNE = Command(
    NAME,
    TuneOptions,
    "tuning.tune:tune",
    SUMMARIES[NAME],
    check_tune,
    "tuning.tune:summary_text",
    takes_config=True,
    common=("model", "space", "trials", "study", "sampler", "pruner", "objectives", "data", "preset", "epochs"),
)


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ConfigError(
            "studies need Optuna, which is not installed: pip install 'spondylo_ml[tuning]', or in a clone "
            "pip install -e '.[tuning]'"
        ) from None


def _require_places(options: TuneOptions) -> None:
    """Check that the study's database and its best recipe can be written."""
    from tuning.storage import require_storage

    require_writable(STUDIES)
    require_storage(options.storage)


def checked_space(options: TuneOptions, overrides: Mapping[str, Any]) -> tuple[Space, str]:
    """The space, after checking that its corners are valid configurations, and the study's name."""
    from spondylo_ml.config.resolve import resolve_config
    from tuning.space import find_space, load_space

    model = resolve_config(overrides, options.recipe).model.name
    path = find_space(options.space, model)
    space = load_space(path, overrides, options.recipe)
    space.check()
    if options.sampler == "grid":
        space.grid()
    return space, options.study or f"{model}-{path.stem}"
