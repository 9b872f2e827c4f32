"""The page of a study says what its axes are in the words of this project."""

from __future__ import annotations

import optuna

from tuning.options import StudyOptions
from tuning.pictures import study_page


def test_the_charts_of_a_study_have_plain_words() -> None:
    study = optuna.create_study(study_name="plain")
    for number in range(3):
        trial = study.ask()
        rate = trial.suggest_float("training.learning_rate", 1e-4, 1e-2)
        trial.report(9.0 - number, 1)
        study.tell(trial, 8.0 - number + rate)
    page = study_page(study, StudyOptions())
    assert "<th>MRE px512</th>" in page
    assert "mre_px512" not in page
    assert '"text":"epoch"' in page
    assert '"text":"importance; the sum is 1"' in page
    assert '"name":"best so far"' in page
    assert [word for word in ("Hyperparameter", "Intermediate Value", "Best Value") if word in page] == []
