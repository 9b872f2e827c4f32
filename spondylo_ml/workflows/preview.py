"""`preview`: training films as the network sees them, prepared and then augmented, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from spondylo_ml.config import Config, PreviewOptions, resolve_config
from spondylo_ml.config.films import AugmentationConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.data.augment import Augmenter
from spondylo_ml.data.batches import FilmBatch, PreparedDataset
from spondylo_ml.data.epochs import EpochIndex
from spondylo_ml.data.left_out import without_impossible_corners
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.pages.colours import TEXT_RGB, TRUTH_RGB
from spondylo_ml.pages.figures.labels import LINE_PX, Picture, draw_text
from spondylo_ml.pages.figures.lines import draw_outline
from spondylo_ml.pages.figures.sheet import tile
from spondylo_ml.pages.picture_folder import CaptionedPicture, write_pictures
from spondylo_ml.serving.model_source import config_of_model
from spondylo_ml.workflows.show import Shown
from spondylo_ml.workflows.train.films import load_training_films, resolve_from_films

SHOWN_SIDE_PX = 384
COLUMNS = 4


def preview(options: PreviewOptions, overrides: Mapping[str, Any]) -> Shown:
    """Draw the first training films, prepared and as the first epochs show them; nothing is trained or logged.

    Films, seed and augmentation are those of a training run with this configuration, so that the pictures are exactly
    what it sees.

    Args:
        overrides: the values that the user has set, nested.

    Raises:
        SpondyloError: as `train`, before its first epoch.
    """
    config = resolve_config(overrides, options.recipe_path, config_of_model)
    films = load_training_films(config)[2].films
    config = resolve_from_films(config, films)
    assert config.data.input_hw is not None
    # The augmentation of a film depends on its row among the labelled training films: these are the first rows.
    chosen = [film for film in map(without_impossible_corners, films.part("train")) if film.labelled][: options.films]
    prepared = prepare_films(chosen, films.slots, config.data.input_hw)
    plain = PreparedDataset(prepared, config.seed)
    augmented = PreparedDataset(prepared, config.seed, Augmenter(config.augmentation))
    pictures = []
    for row, film in enumerate(prepared):
        versions = [draw_input(plain[row], "prepared")]
        for epoch in range(options.epochs_shown):
            versions.append(draw_input(augmented[EpochIndex(epoch, row)], f"epoch {epoch + 1}"))
        caption = f"{config.data.input_hw[1]} x {config.data.input_hw[0]} px, with the corners that the loss sees"
        pictures.append(CaptionedPicture(film.film.film_id, caption, tile(versions, COLUMNS)))
    title = f"Training films of {films.name} as {config.model.name} sees them"
    page = write_pictures(expanded(options.to), title, [augmentation_in_words(config)], pictures)
    return Shown(page, len(pictures), f"{films.name} train")


def draw_input(film: FilmBatch, caption: str) -> Picture:
    """(H, W, 3) RGB picture of one film as the network gets it, enlarged without smoothing, below its caption."""
    image, corners = film.images[0].numpy(), film.corners_xy.double().numpy()
    scale = max(1, round(SHOWN_SIDE_PX / max(image.shape)))
    grey = np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    for body in corners:
        draw_outline(picture, body, scale, TRUTH_RGB)
    bar = np.zeros((LINE_PX, picture.shape[1], 3), dtype=np.uint8)
    draw_text(bar, caption, 4, LINE_PX / 2, TEXT_RGB)
    return np.concatenate([bar, picture])


def augmentation_in_words(config: Config) -> str:
    """The values of the augmentation that differ from the defaults."""
    if not config.augmentation.enabled:
        return "Augmentation is off: every epoch shows the prepared films."
    defaults = AugmentationConfig().model_dump()
    changed = {name: value for name, value in config.augmentation.model_dump().items() if value != defaults[name]}
    listed = ", ".join(f"{name} {value}" for name, value in changed.items())
    return f"Augmentation: {'the defaults' if not changed else f'the defaults except {listed}'}."
