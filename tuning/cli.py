"""The command line of studies: `python -m tuning --name value ...`.

Options of the study, and any value of the configuration by its dotted name, which then holds for all trials. Nothing
slow is imported before they are known to be right.
"""

from __future__ import annotations

import logging
import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from spondylo_ml.cli import run_to_end
from spondylo_ml.cli.checks import require_films, require_target
from spondylo_ml.cli.flags import given_values
from spondylo_ml.config import Config, validate
from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.config.schema import EXPERIMENT
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.folders import require_writable
from tuning.options import STUDIES, StudyOptions

if TYPE_CHECKING:
    from tuning.retrain import SeedSpread
    from tuning.space import Space
    from tuning.study import OpenStudy
    from tuning.summary import StudySummary

_SETTINGS = SettingsConfigDict(
    extra="forbid", cli_avoid_json=True, cli_hide_none_type=True, cli_use_class_docs_for_groups=True,
    cli_prog_name="python -m tuning",
)  # fmt: skip


class TuneFlags(StudyOptions, Config, BaseSettings):
    """Search a space of configurations; a name goes on with its study, also from several machines at once."""

    model_config = _SETTINGS

    recipe: Path | None = Field(None, description="YAML file laid over the model's own recipe")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a study; its exit code: 0, 2 for bad input or a study that stopped, 130 for Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> int:
        tune(given_values(TuneFlags, given))
        return 0

    return run_to_end(work, "interrupted; the same command goes on with the study")


def tune(given: dict[str, Any]) -> None:
    """Open the study and work on it.

    Args:
        given: nested values of the command line: options of the study and of the configuration together.
    """
    options = validate(StudyOptions, {name: given.pop(name) for name in StudyOptions.model_fields if name in given})
    recipe = given.pop("recipe", None)
    space, name = checked_space(options, given, Path(recipe) if recipe else None)
    base = space.resolve({})
    require_films(base.data)
    _require_places(options)
    require_target(base.tracking.experiment, EXPERIMENT)

    from spondylo_ml.data.synthetic import PHANTOM_KIND
    from spondylo_ml.tracking.store import chosen_experiment
    from spondylo_ml.workflows.train.films import load_and_announce
    from tuning.films import DevelopmentFilms
    from tuning.objective import TrainingObjective
    from tuning.retrain import retrain
    from tuning.study import open_study

    _start_logging()
    _stop_cleanly_on_sigterm()
    films = DevelopmentFilms.of(load_and_announce(base)[0])
    if options.folds > 1 and films.kind != PHANTOM_KIND:  # synthetic films are each of a patient of its own
        films = films.with_same_exposures()
    opened = open_study(options, space, name, chosen_experiment(base.tracking.experiment, EXPERIMENT))
    objective = TrainingObjective(films, options.objectives, options.folds, base.data.split_seed)
    summary = opened.run(objective)
    spread = None
    if options.retrain_seeds and summary.best is not None:
        judged_on = f"{films.name} {'out of fold' if options.folds > 1 else 'val'}"
        spread = retrain(opened, replace(objective, keep_values=True), judged_on)
    _write(_summary_text(opened, summary, spread))


def _require_places(options: StudyOptions) -> None:
    """The study's database and its best recipe can be written."""
    from tuning.storage import require_storage

    require_writable(STUDIES)
    require_storage(options.storage)


def checked_space(options: StudyOptions, overrides: dict[str, Any], recipe: Path | None) -> tuple[Space, str]:
    """The space, every corner of which is a configuration, and the study's name."""
    from spondylo_ml.config.resolve import resolve_config
    from tuning.space import find_space, load_space

    model = resolve_config(overrides, recipe).model.name
    path = find_space(options.space, model)
    space = load_space(path, overrides, recipe)
    space.check()
    if options.sampler == "grid":
        space.grid()
    return space, options.study or f"{model}-{path.stem}"


def _summary_text(opened: OpenStudy, summary: StudySummary, spread: SeedSpread | None) -> str:
    from tuning.summary import BEST_RECIPE, PAGE, point_of
    from tuning.worker import in_words

    lines = [f"study       {opened.name}: " + ", ".join(f"{n} {s}" for s, n in sorted(summary.states.items()))]
    if summary.best is not None:
        values = ", ".join(f"{k} {v:.4g}" for k, v in zip(summary.objectives, summary.best.values, strict=True))
        path = STUDIES / opened.name / BEST_RECIPE
        lines += [
            f"best        trial {summary.best.number}: {values} (validation part)",
            f"parameters  {in_words(point_of(summary.best))}",
            f"recipe      {path}; train it: python -m spondylo_ml train --recipe {path}",
        ]
    if not math.isnan(summary.reports_saved):
        lines.append(f"pruning     saved {summary.reports_saved:.0%} of the reports")
    if spread is not None:
        lines.append(f"seeds       {len(spread.values)}: {spread.objective} {spread.mean:.4g}, sd {spread.sd:.3g}")
        lines.append(f"noise floor {_floor_in_words(spread, opened.runs.parent_id)}")
    lines += [f"run         {opened.runs.parent_id}; pictures: {PAGE}, under Artifacts"]
    return "\n".join([*lines, DISCLAIMER])


def _floor_in_words(spread: SeedSpread, run_id: str) -> str:
    metric = str(PromoteConfig.model_fields["metric"].default)
    floor = spread.floors.get(f"noise_floor/{metric}")
    if floor is None:
        return f"of {metric} not measured: two trainings that have it are needed"
    return f"{metric} {floor:.3g} (95 % of two seeds differ by less); use it: promote --noise_floor_from {run_id}"


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _stop_cleanly_on_sigterm() -> None:
    """A cluster that ends a job says so with SIGTERM: then the trial is given back as with Ctrl-C."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _start_logging() -> None:
    import optuna

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    for name in ("spondylo_ml", "tuning"):
        logging.getLogger(name).setLevel(logging.INFO)
    for name in ("lightning.pytorch", "lightning.fabric", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
