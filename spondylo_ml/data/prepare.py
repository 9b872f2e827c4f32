"""Preprocess films to arrays in the network's input space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.large_array import empty_array
from spondylo_ml.data.letterbox import Letterbox
from spondylo_ml.data.window import Window
from spondylo_ml.landmarks import Film, FloatArray, GreyImage, SlotRange


@dataclass(frozen=True)
class PreparedFilm:
    """A film in input space.

    Attributes:
        image: (H, W) letterboxed grey levels.
        corners_xy: (V, 4, 2) px of the input per slot, NaN where absent.
        present: (V,) whether the film's labels name a vertebra in the slot.
    """

    film: Film
    letterbox: Letterbox
    image: GreyImage
    corners_xy: FloatArray
    present: NDArray[np.bool_]

    def __deepcopy__(self, memo: object) -> PreparedFilm:
        """Itself: it is immutable, and copies of a training module should share its films."""
        return self


def prepare_film(film: Film, slots: SlotRange, input_hw: tuple[int, int]) -> PreparedFilm:
    """Preprocess a film, for training, validation and inference alike.

    Raises:
        DataError: the film's pixels cannot be read.
    """
    letterbox = Letterbox(film.size_hw, input_hw)
    vertebrae = film.vertebrae or ()
    present = np.zeros(slots.count, dtype=bool)
    present[[v.slot - slots.first for v in vertebrae if v.slot in slots]] = True
    return PreparedFilm(
        film=film,
        letterbox=letterbox,
        image=letterbox.apply(film.image.read()),
        corners_xy=letterbox.to_input(slots.corners(vertebrae)),
        present=present,
    )


def prepare_window(prepared: PreparedFilm, window: Window, pixels: GreyImage) -> PreparedFilm:
    """A window of a film in place of all of it.

    Args:
        pixels: (H, W) of the film, which a caller of several windows reads once.
    """
    letterbox = Letterbox(prepared.letterbox.film_hw, prepared.letterbox.input_hw, window)
    corners = letterbox.to_input(prepared.letterbox.to_film(prepared.corners_xy))
    return replace(prepared, letterbox=letterbox, image=letterbox.apply(pixels), corners_xy=corners)


def prepare_films(
    films: Sequence[Film],
    slots: SlotRange,
    input_hw: tuple[int, int],
    on_film: Callable[[], object] = lambda: None,
) -> list[PreparedFilm]:
    """Preprocess many films in parallel, keeping their order; calls `on_film` after each, for a progress bar.

    Raises:
        DataError: a film's pixels cannot be read, or there is no room for all of them.
    """
    images = empty_array((len(films), *input_hw), np.uint8)

    def one(film: Film, image: GreyImage) -> PreparedFilm:
        prepared = prepare_film(film, slots, input_hw)
        image[:] = prepared.image
        on_film()
        return replace(prepared, image=image)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, films, images))
