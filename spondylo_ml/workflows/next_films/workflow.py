"""`next`: of unlabelled films, the ones to label first, as a list, a page and tasks for a labelling tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlflow

from spondylo_ml.active_learning.ranking import LabelledFilms, RankedFilm, State, rank_films
from spondylo_ml.config import NextConfig, flatten
from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.decode import open_file
from spondylo_ml.data.film_files import NAMES_FILE, FilmFile, collect_films, write_names
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.loading import read_films
from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.errors import DataError
from spondylo_ml.film_bar import film_bar, with_film_bar
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.pages.figures.overlay import draw_film
from spondylo_ml.pages.next_page import NextPage, next_page
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.serving.model_source import LoadedModel, find_model
from spondylo_ml.tracking.film_dataset import FilmDataset
from spondylo_ml.tracking.mlflow_log import log_params
from spondylo_ml.tracking.outcome import red_line
from spondylo_ml.tracking.provenance import log_environment
from spondylo_ml.tracking.store import DESCRIPTION_TAG, chosen_experiment, open_run
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.workflows.next_films.scoring import FilmReading, FilmScorer
from spondylo_ml.workflows.next_films.table import film_table
from spondylo_ml.workflows.predict.draft_folder import DraftFolder
from spondylo_ml.workflows.predict.workflow import Failure

PAGE, LIST = "index.html", "next.csv"
PICTURE_HEIGHT_PX = 480


@dataclass(frozen=True)
class NextResult:
    """The result of `next`.

    Attributes:
        ranked: all films, the chosen ones first in order.
        files: file of each film, by its name, for the terminal.
        failed: films that could not be read.
        skipped: files in the folders that are not films.
        notes: what else in the folders is not used.
        folder: the folder with the results; None if none was asked for.
        draft_format: labelling tool of the drafts in the folder; None if none were asked for.
    """

    run_id: str
    model: str
    ranked: tuple[RankedFilm, ...]
    files: Mapping[str, Path]
    failed: tuple[Failure, ...]
    skipped: tuple[Path, ...]
    warnings: tuple[str, ...]
    folder: Path | None
    draft_format: str | None
    notes: tuple[str, ...] = ()


def next_films(config: NextConfig) -> NextResult:
    """Choose the films to label first, and log the list and the page to a new run.

    Raises:
        SpondyloError: no film, no such model, bad labelled films, or a store that does not answer.
    """
    require_store()
    collected = collect_films(config.films)
    loaded = find_model(config.model, config.digest)
    model = FilmModel(loaded.bundle, loaded.name, digest=loaded.digest)
    data = _labelled(config)
    files = {film.film_id: film for film in collected.films}
    experiment = chosen_experiment(config.experiment, TOOLS_EXPERIMENT)
    title = f"next of {len(collected.films)} films"
    with open_run(experiment, title, command="next") as run_id:
        _log_origin(config, loaded, data)
        scorer = FilmScorer(model)
        labelled = _known(scorer, data)
        readings = _read(scorer, collected.films)
        ranked = rank_films([reading.score for reading in readings.values()], labelled, config.count)
        warnings = tuple(_warnings(scorer, model, data, ranked))
        chosen = partial(_chosen, readings=readings, files=files)
        page = _page(ranked, chosen(ranked[: config.pictures]), _facts(ranked, loaded, data), warnings)
        table = film_table(ranked, {name: reading.warnings for name, reading in readings.items()}).to_csv(index=False)
        mlflow.log_text(page, PAGE)
        mlflow.log_text(table, LIST)
        mlflow.set_tags(_counts(ranked))
        mlflow.set_tag(DESCRIPTION_TAG, _description(ranked, warnings))
        folder = None if config.to is None else expanded(config.to)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / PAGE).write_text(page, encoding="utf-8")
            (folder / LIST).write_text(table, encoding="utf-8")
            if config.format is not None:
                _write_drafts(DraftFolder(folder, model, config.format), chosen(ranked))
            if config.private_names:
                write_names(folder / NAMES_FILE, collected.films)
    return NextResult(
        run_id=run_id,
        model=loaded.name,
        ranked=tuple(ranked),
        files={name: file.path for name, file in files.items()},
        failed=_unreadable(readings, files),
        skipped=collected.skipped,
        warnings=warnings,
        folder=folder,
        draft_format=config.format,
        notes=collected.notes,
    )


def _labelled(config: NextConfig) -> FilmSet | None:
    if (data := config.labelled_data) is None:
        return None
    films = read_films(data)
    if not any(film.labelled for film in films.films):
        raise DataError(f"no film in {data.path} has labels: give the folder of films that are labelled already")
    return films


def _known(scorer: FilmScorer, data: FilmSet | None) -> LabelledFilms:
    if data is None:
        return LabelledFilms()
    films = [film for film in data.films if film.labelled]
    with film_bar("reading labelled films", len(films)) as bar:
        return scorer.labelled(films, bar.update)


def _read(scorer: FilmScorer, films: Sequence[FilmFile]) -> dict[str, FilmReading]:
    """What the model says of each film, by its name."""
    sources = (FilmSource(film.film_id, partial(open_file, film.path, film.film_id, film.details)) for film in films)
    readings = with_film_bar(scorer.score(sources), "reading films", len(films))
    return {reading.score.film_id: reading for reading in readings}


def _log_origin(config: NextConfig, loaded: LoadedModel, data: FilmSet | None) -> None:
    log_params(flatten(config.model_dump(mode="json", exclude={"films", "labelled", "to", "model"})))
    tags = {"model": loaded.bundle.config.model.name, "model_name": loaded.name, "model_digest": loaded.digest}
    mlflow.set_tags(tags)
    log_environment()
    if data is not None:
        of_labelled = digest(data.films, data.slots)
        mlflow.log_input(FilmDataset(data, "all", of_labelled), context="labelled")
        mlflow.set_tag("data_digest.labelled", of_labelled)


def _counts(ranked: Sequence[RankedFilm]) -> dict[str, str]:
    """Tags: how many films there are, and how many in each state."""
    states = Counter(one.state for one in ranked)
    return {"films": str(len(ranked))} | {
        f"films_{state.value.replace(' ', '_')}": str(states[state]) for state in State if states[state]
    }


def _warnings(scorer: FilmScorer, model: FilmModel, data: FilmSet | None, ranked: Sequence[RankedFilm]) -> list[str]:
    """What the ranks do not include, and what a person must look at besides the chosen films."""
    warnings = []
    if model.bundle.uncertainty is None:
        warnings.append("the model has no calibrated grade probabilities: the doubt about grades is in no rank")
    if not scorer.has_features:
        warnings.append("the model gives no features: similar films are not recognised as such")
    elif data is None:
        warnings.append("no labelled films were given: only the distance from chosen films counts (--labelled)")
    states = Counter(one.state for one in ranked)
    if refused := states[State.REFUSED]:
        warnings.append(f"the model refuses {refused} of the films: look at them first, no rank can be given to them")
    if unreadable := states[State.UNREADABLE]:
        warnings.append(f"{unreadable} of the films cannot be read")
    if unknown := states[State.UNKNOWN]:
        warnings.append(f"the model says nothing by which {unknown} of the films could be ranked")
    return warnings


def _facts(ranked: Sequence[RankedFilm], loaded: LoadedModel, data: FilmSet | None) -> list[tuple[str, str]]:
    states = Counter(one.state for one in ranked)
    counts = [(state.value, str(states[state])) for state in State if states[state]]
    labelled = "none given" if data is None else str(sum(film.labelled for film in data.films))
    return [("films", str(len(ranked))), *counts, ("films with labels", labelled), ("model", loaded.name)]


def _chosen(
    ranked: Sequence[RankedFilm], readings: Mapping[str, FilmReading], files: Mapping[str, FilmFile]
) -> Iterator[tuple[Film, FilmPrediction]]:
    """The chosen ones of the films, opened again one by one, in order."""
    for one in ranked:
        prediction = readings[one.film.film_id].prediction
        if one.state is State.CHOSEN and prediction is not None:
            file = files[one.film.film_id]
            yield open_file(file.path, file.film_id, file.details), prediction


def _page(
    ranked: Sequence[RankedFilm],
    shown: Iterable[tuple[Film, FilmPrediction]],
    facts: Sequence[tuple[str, str]],
    warnings: Sequence[str],
) -> str:
    """The page of all films, with pictures of those in `shown`."""
    pictures = {film.film_id: draw_film(film, prediction, PICTURE_HEIGHT_PX) for film, prediction in shown}
    chosen = sum(one.state is State.CHOSEN for one in ranked)
    heading = f"Films to label first: {chosen} of {len(ranked)}"
    return next_page(NextPage(heading, facts, warnings, ranked, pictures))


def _write_drafts(drafts: DraftFolder, films: Iterable[tuple[Film, FilmPrediction]]) -> None:
    for film, prediction in films:
        drafts.add(film, prediction)
    drafts.write()


def _unreadable(readings: Mapping[str, FilmReading], files: Mapping[str, FilmFile]) -> tuple[Failure, ...]:
    return tuple(
        Failure(files[name].path, name, reading.error_detail)
        for name, reading in readings.items()
        if reading.prediction is None
    )


def _description(ranked: Sequence[RankedFilm], warnings: Sequence[str]) -> str:
    chosen = [one for one in ranked if one.state is State.CHOSEN]
    first = ", ".join(one.film.film_id for one in chosen[:5])
    lines = [f"**{len(chosen)} of {len(ranked)} films to label first**{': ' + first if first else ''}", ""]
    texts = [*map(red_line, warnings), *lines, f"The page is `{PAGE}`, the list `{LIST}`, under Artifacts."]
    return "\n".join([*texts, "", DISCLAIMER])
