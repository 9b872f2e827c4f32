"""The page of a study: its Plotly charts."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from optuna import Study, visualization
from optuna.trial import TrialState

from spondylo_ml.pages import colours
from spondylo_ml.pages.figures.run_plots import whole_epochs
from spondylo_ml.pages.render import Chart, chart_html, render_page
from tuning.options import StudyOptions
from tuning.summary import BEST_RECIPE, headings
from tuning.tickets import TRIAL_RUN_ID

RATE, SIGMA = "training.learning_rate", "heatmap.sigma_cells"
MOST_CONTOURS = 4
MOST_SHOWN = 10
Figure = Any


def study_page(study: Study, options: StudyOptions) -> str:
    """HTML with the best trials and every chart that the study's trials allow; a chart that is missing has a reason."""
    trials = study.get_trials(deepcopy=False)
    counts = Counter(trial.state.name.lower() for trial in trials)
    return render_page(
        "study.html",
        title=f"Study {study.study_name}",
        summary=f"{len(trials)} trials; {', '.join(headings(options.objectives))} on the validation part",
        counts=", ".join(f"{count} {state}" for state, count in sorted(counts.items())),
        best=best_rows(study, options),
        recipe=BEST_RECIPE,
        charts=[_chart(title, draw) for title, draw in _figures(study, options).items()],
    )


def best_rows(study: Study, options: StudyOptions) -> list[list[str]]:
    """A head, then the best complete trials by the first objective, or those that no other beats in both objectives."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1.0 if options.directions[0] == "maximize" else 1.0
    front = study.best_trials if len(options.objectives) > 1 and complete else complete
    ordered = sorted(front, key=lambda trial: (sign * trial.values[0], trial.number))[:MOST_SHOWN]
    names = list(dict.fromkeys(name for trial in ordered for name in trial.params))
    rows = [["rank", "trial", *headings(options.objectives), *names, "run"]]
    for rank, trial in enumerate(ordered, start=1):
        values = [f"{value:.4g}" for value in trial.values]
        settings = [_setting(trial.params.get(name, "")) for name in names]
        rows.append([str(rank), str(trial.number), *values, *settings, trial.user_attrs.get(TRIAL_RUN_ID, "")])
    return rows if len(rows) > 1 else []


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(study: Study, options: StudyOptions) -> dict[str, Callable[[], Figure]]:
    """Functions that draw the charts, by title; with two objectives, charts show the first."""
    goal, *_ = objective_names = headings(options.objectives)
    two = len(options.objectives) > 1
    of: dict[str, Any] = {"target_name": goal} | ({"target": lambda trial: trial.values[0]} if two else {})
    return {
        "Importance of the parameters": lambda: _importances(study, options, of),
        "Learning rate and sigma": lambda: _rate_and_sigma(study, of),
        **(
            {"Pareto front": lambda: visualization.plot_pareto_front(study, target_names=objective_names)}
            if two
            else {"Value after each report, pruned trials dashed": lambda: _intermediate(study, options)}
        ),
        "Optimisation history": lambda: _history(study, of),
        "Slices": lambda: visualization.plot_slice(study, **of),
        **({} if _complete_names(study) == {RATE, SIGMA} else {"Contours": lambda: _contours(study, of)}),
        "Parallel coordinates": lambda: visualization.plot_parallel_coordinate(study, **of),
    }


def _importances(study: Study, options: StudyOptions, of: dict[str, Any]) -> Figure:
    """How much each parameter affects the objective."""
    if len(options.objectives) > 1:
        # With a target function, Optuna explains low values, regardless of the direction of the objective.
        sign = -1.0 if options.directions[0] == "maximize" else 1.0
        of = of | {"target": lambda trial: sign * trial.values[0]}
    figure = visualization.plot_param_importances(study, **of)
    figure.update_traces(marker_color=colours.BARS)
    height_px = 110 + 45 * sum(len(bars.y) for bars in figure.data)
    return figure.update_layout(xaxis_title="importance; the sum is 1", yaxis_title=None, height=height_px)


def _history(study: Study, of: dict[str, Any]) -> Figure:
    """Optuna's chart of the value of each trial, in our words."""
    figure = visualization.plot_optimization_history(study, **of)
    figure.for_each_trace(lambda line: line.update(name="best so far"), selector={"name": "Best Value"})
    return figure.update_layout(xaxis_title="trial")


def _rate_and_sigma(study: Study, of: dict[str, Any]) -> Figure:
    if not {RATE, SIGMA} <= _complete_names(study):
        raise ValueError("this study does not search both")
    return visualization.plot_contour(study, params=[RATE, SIGMA], **of)


def _intermediate(study: Study, options: StudyOptions) -> Figure:
    """Optuna's chart, with the curves of pruned trials dashed."""
    if not any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        raise ValueError("nothing was reported yet")
    figure = visualization.plot_intermediate_values(study)
    pruned = {f"Trial{t.number}" for t in study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))}
    for curve in figure.data:
        if curve.name in pruned:
            curve.line.dash = "dash"
            curve.name += " (pruned)"
    step = "fold" if options.folds > 1 else "epoch"
    figure.update_xaxes(whole_epochs([[(x, 0.0) for x in curve.x] for curve in figure.data]))
    return figure.update_layout(xaxis_title=step, yaxis_title=headings(options.objectives)[0])


def _contours(study: Study, of: dict[str, Any]) -> Figure:
    return visualization.plot_contour(study, params=_contour_names(study), **of)


def _contour_names(study: Study) -> list[str]:
    """The first parameters that all complete trials share: each pair is one chart."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    shared = [name for name in complete[0].params if all(name in t.params for t in complete)] if complete else []
    if len(shared) < 2:
        raise ValueError("fewer than two parameters that all trials have")
    return shared[:MOST_CONTOURS]


def _complete_names(study: Study) -> set[str]:
    return {name for t in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) for name in t.params}


def _chart(title: str, draw: Callable[[], Figure]) -> Chart:
    """A chart, or the reason why there is none: too few trials or equal values are no error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns about a study with few trials; the page gives their number
            figure = draw()
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        return Chart(title, Markup(), f"not drawn: {error}")
    if not figure.data:
        return Chart(title, Markup(), "not drawn: too few complete trials")
    figure.update_layout(title=None, template="plotly_white", colorway=colours.RUNS)
    figure.update_layout(margin={"l": 60, "r": 20, "t": 30, "b": 50})
    figure.update_xaxes(exponentformat="e").update_yaxes(exponentformat="e")  # 1e-4, not 100 micro
    return Chart(title, chart_html(figure))
