"""Pictures of a study: one page of Plotly charts that needs no network and no other file."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable
from typing import Any

from optuna import Study, visualization
from optuna.trial import TrialState

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.pages.comparison_page import STYLE
from tuning.options import StudyOptions

RATE, SIGMA = "training.learning_rate", "heatmap.sigma_cells"
MOST_CONTOURS = 4
Figure = Any


def study_page(study: Study, options: StudyOptions) -> str:
    """HTML with every picture that the study's trials allow, and why the others are missing."""
    parts, with_library = [], True
    for title, draw in _charts(study, options).items():
        figure, why = _drawn(draw)
        if figure is None:
            parts.append(f"<h2>{html.escape(title)}</h2><p class='note'>{html.escape(why)}</p>")
            continue
        chart = figure.to_html(full_html=False, include_plotlyjs=with_library)
        parts.append(f"<h2>{html.escape(title)}</h2>{chart}")
        with_library = False
    title = f"Study {html.escape(study.study_name)}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>
<p>{len(study.get_trials(deepcopy=False))} trials; {html.escape(", ".join(options.objectives))} on the validation
part.</p>
{"".join(parts)}
<p class="note">{DISCLAIMER}</p></body></html>"""


def _charts(study: Study, options: StudyOptions) -> dict[str, Callable[[], Figure]]:
    """Each picture by its title, of the first objective where there are two."""
    goal = options.objectives[0]
    two = len(options.objectives) > 1
    of: dict[str, Any] = {"target_name": goal} | ({"target": lambda trial: trial.values[0]} if two else {})
    charts: dict[str, Callable[[], Figure]] = {
        "Optimisation history": lambda: visualization.plot_optimization_history(study, **of),
        "Importance of the parameters": lambda: _importances(study, options, of),
        "Slices": lambda: visualization.plot_slice(study, **of),
        "Contours": lambda: visualization.plot_contour(study, params=_contour_names(study), **of),
        "Parallel coordinates": lambda: visualization.plot_parallel_coordinate(study, **of),
        "Learning rate and sigma": lambda: _rate_and_sigma(study, of),
    }
    if two:
        names: list[str] = list(options.objectives)
        charts["Pareto front"] = lambda: visualization.plot_pareto_front(study, target_names=names)
    else:
        charts["Value after each report, pruned trials dashed"] = lambda: _intermediate(study)
    return charts


def _importances(study: Study, options: StudyOptions, of: dict[str, Any]) -> Figure:
    """How much each parameter decides whether a trial is a good one."""
    if len(options.objectives) > 1:
        # Optuna asks what makes the target low, whatever the direction of the objective it is taken from.
        sign = -1.0 if options.directions[0] == "maximize" else 1.0
        of = of | {"target": lambda trial: sign * trial.values[0]}
    return visualization.plot_param_importances(study, **of)


def _rate_and_sigma(study: Study, of: dict[str, Any]) -> Figure:
    if not {RATE, SIGMA} <= _complete_names(study):
        raise ValueError("this study does not search both")
    return visualization.plot_contour(study, params=[RATE, SIGMA], **of)


def _intermediate(study: Study) -> Figure:
    """Optuna's chart, with the curves of pruned trials dashed."""
    if not any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        raise ValueError("nothing was reported yet")
    figure = visualization.plot_intermediate_values(study)
    pruned = {f"Trial{t.number}" for t in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))}
    for curve in figure.data:
        if curve.name in pruned:
            curve.line.dash = "dash"
            curve.name += " (pruned)"
    return figure


def _contour_names(study: Study) -> list[str]:
    """The first parameters that all complete trials share: each pair is a picture."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shared = [name for name in complete[0].params if all(name in t.params for t in complete)] if complete else []
    if len(shared) < 2:
        raise ValueError("fewer than two parameters that all trials have")
    return shared[:MOST_CONTOURS]


def _complete_names(study: Study) -> set[str]:
    return {name for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) for name in t.params}


def _drawn(draw: Callable[[], Figure]) -> tuple[Figure | None, str]:
    """A picture, or why there is none: few trials, or values that do not differ, are no error of the study."""
    try:
        with warnings.catch_warnings():
            # Of a study that has just begun; its page says how many trials there are.
            warnings.simplefilter("ignore")
            figure = draw()
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return None, f"not drawn: {error}"
    if not figure.data:
        return None, "not drawn: too few complete trials"
    return figure, ""
