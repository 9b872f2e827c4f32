"""`show`: films of a part with their labels and, given a model, its predictions and heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from spondylo_ml.config import ShowConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.loading import load_films, requested_data
from spondylo_ml.data.prepare import PreparedFilm, prepare_films
from spondylo_ml.data.sampling import evenly_spaced
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.pages.colours import TRUTH_RGB
from spondylo_ml.pages.figures.labels import Label, Picture, draw_labels
from spondylo_ml.pages.figures.lines import draw_edge, draw_outline
from spondylo_ml.pages.figures.overlay import LABEL_GAP_PX, draw_film
from spondylo_ml.pages.figures.sheet import with_legend
from spondylo_ml.pages.picture_folder import CaptionedPicture, write_pictures
from spondylo_ml.serving.bundle import Bundle
from spondylo_ml.serving.model_source import find_model
from spondylo_ml.serving.predictor import Predictor


@dataclass(frozen=True)
class Shown:
    """The page of the pictures, and what it shows."""

    page: Path
    n_films: int
    of_films: str


def show(config: ShowConfig) -> Shown:
    """Draw films of a part to a folder.

    Raises:
        SpondyloError: no such model, bad films, or no film in the part.
    """
    if config.model is None:
        films = load_films(config.data, for_training=False)
        labelled = _draw_labels(evenly_spaced(films.required_part(config.split), config.films), config.height_px)
        return _written(config, films, "labels", labelled)
    model = find_model(config.model, config.digest)
    films = load_films(requested_data(model.bundle.config.data, config.data), for_training=False)
    chosen, predictions = _chosen(films.required_part(config.split), model.bundle, config)
    return _written(config, films, model.name, _draw_predictions(chosen, predictions, model.bundle, config))


def _chosen(
    part: Sequence[Film], bundle: Bundle, config: ShowConfig
) -> tuple[Sequence[Film], Sequence[FilmPrediction]]:
    """The films to show and their predictions; to rank films, all of the part are predicted."""
    if config.choose == "spread":
        films = evenly_spaced(part, config.films)
        return films, Predictor(bundle).predict(films)
    predictions = Predictor(bundle).predict(part)
    errors = [film_error_px512(film, prediction) for film, prediction in zip(part, predictions, strict=True)]
    known = [index for index, error in enumerate(errors) if error is not None]
    if not known:
        raise DataError(f"no film of the part has labels, so that none is the {config.choose}: --choose spread")
    sign = -1 if config.choose == "worst" else 1
    ranked = sorted(known, key=lambda index: sign * (errors[index] or 0.0))[: config.films]
    return [part[index] for index in ranked], [predictions[index] for index in ranked]


def film_error_px512(film: Film, prediction: FilmPrediction) -> float | None:
    """Mean error of the film's corners; None if it has no labels."""
    corners = PredictionSet([film], [prediction]).corners
    return None if corners.empty else float(corners["error_px512"].mean())


def _draw_labels(films: Sequence[Film], height_px: int) -> list[CaptionedPicture]:
    return [CaptionedPicture(film.film_id, _labels_in_words(film), _labelled(film, height_px)) for film in films]


def _labelled(film: Film, height_px: int) -> Picture:
    """(H, W, 3) RGB: the film with the outlines and levels of its labels."""
    scale = height_px / film.size_hw[0]
    size = (max(1, round(film.size_hw[1] * scale)), height_px)
    grey = cv2.resize(stretch_contrast(film.image.read()), size, interpolation=cv2.INTER_AREA)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    bodies = [vertebra for vertebra in film.vertebrae or () if vertebra.present.any()]
    for vertebra in bodies:
        draw_edge(picture, vertebra.corners_xy, scale)
    labels = []
    for vertebra in bodies:
        draw_outline(picture, vertebra.corners_xy, scale, TRUTH_RGB)
        x, y = np.nanmax(vertebra.corners_xy[:, 0]) * scale, np.nanmean(vertebra.corners_xy[:, 1]) * scale
        labels.append(Label(vertebra.level, TRUTH_RGB, (float(x) + LABEL_GAP_PX, float(y))))
    draw_labels(picture, labels)
    return picture


def _draw_predictions(
    films: Sequence[Film], predictions: Sequence[FilmPrediction], bundle: Bundle, config: ShowConfig
) -> list[CaptionedPicture]:
    input_hw = bundle.config.data.input_hw
    assert input_hw is not None
    prepared = prepare_films(films, bundle.slots, input_hw)
    none: list[FloatArray | None] = [None] * len(prepared)
    heat = _heat(bundle.model, prepared) if config.heatmaps else none
    out = []
    for one, prediction, maps in zip(prepared, predictions, heat, strict=True):
        if prediction.remarks:  # it was read on a window, and these maps are of the whole film
            maps = None
        drawn = draw_film(one.film, prediction, config.height_px, maps, one.letterbox)
        picture = with_legend(drawn, "heatmaps" if maps is not None else "")
        out.append(CaptionedPicture(one.film.film_id, _in_words(one.film, prediction), picture))
    return out


def _heat(model: LandmarkModel, films: Sequence[PreparedFilm]) -> list[FloatArray | None]:
    """Heatmap of each film from 0 to 1 over the network's input; None if the model has none."""
    out: list[FloatArray | None] = []
    device = next(model.parameters()).device
    with torch.inference_mode():
        for batch in plain_loader(films, 1):
            maps = model.heat(batch.images.to(device))
            out.append(None if maps is None else maps[0].cpu().double().numpy())
    return out


def _in_words(film: Film, prediction: FilmPrediction) -> str:
    error = film_error_px512(film, prediction)
    measured = [] if error is None else [f"mean error {error:.1f} px512"]
    refused = [f"refused: {prediction.refusal}"] if prediction.refusal else []
    return "; ".join([_labels_in_words(film), *prediction.remarks, *refused, *measured])


def _labels_in_words(film: Film) -> str:
    levels = [vertebra.level for vertebra in film.vertebrae or ()]
    return f"labels from {levels[0]} to {levels[-1]}" if levels else "no vertebra" if film.labelled else "no labels"


def _written(config: ShowConfig, films: FilmSet, by: str, pictures: list[CaptionedPicture]) -> Shown:
    order = {"spread": "evenly spaced", "worst": "worst first", "best": "best first"}[config.choose]
    lead = (f"{by} · {len(pictures)} of {len(films.part(config.split))} films, {order} · {films.name}",)
    part = "all parts" if config.split == "all" else f"the {config.split} part"
    count = f"{len(pictures)} film{'' if len(pictures) == 1 else 's'}"
    page = write_pictures(expanded(config.to), f"{count} of {part}", lead, pictures)
    return Shown(page, len(pictures), f"{films.name} {config.split}")
