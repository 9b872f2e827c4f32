"""What an experiment of the project has from the start: its description, and views of its runs."""

from __future__ import annotations

from mlflow.entities import Experiment
from mlflow.tracking import MlflowClient

from spondylo_ml.config.experiments import EXPERIMENT, LEARNING_COMMANDS, TOOLS_EXPERIMENT
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.tracking.views import view_tags

NOTE = "mlflow.note.content"
_LEARNING = ", ".join(f"`{command}`" for command in LEARNING_COMMANDS if command != "main")

DESCRIPTIONS = {
    EXPERIMENT: f"""Corners of vertebrae and spondylolisthesis on lateral X-rays: the runs of {_LEARNING}.

Views of the runs are in the list *Views*: Leaderboard, Test results, Studies, Compare. The tag `command` of a run \
names its command. Evaluations and diagnoses are children of the training run that they are about, trials of their \
study, seeds and folds of their benchmark or cross-validation. Runs of all other commands (audits, promotions, \
exports, predictions) are in the experiment `{TOOLS_EXPERIMENT}`.

{DISCLAIMER}
""",
    TOOLS_EXPERIMENT: f"""Runs of the commands that train and evaluate nothing, such as `audit`, `promote`, `predict`, \
`export` and `phantom`. Training runs, studies, evaluations and comparisons are in the experiment `{EXPERIMENT}`.

{DISCLAIMER}
""",
}


def prepare_experiment(experiment: Experiment) -> None:
    """Give an experiment its description and its views; what a user has written or changed there stays.

    An experiment that the user has named has no description, and all but that of tools have views.
    """
    tags = {} if experiment.name == TOOLS_EXPERIMENT else view_tags(experiment.tags)
    text = DESCRIPTIONS.get(experiment.name)
    if text is not None and NOTE not in experiment.tags:
        tags[NOTE] = text
    client = MlflowClient()
    for name, value in tags.items():
        client.set_experiment_tag(experiment.experiment_id, name, value)
