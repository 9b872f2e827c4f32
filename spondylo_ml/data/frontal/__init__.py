"""Synthetic frontal radiographs of the whole spine with exact ground truth: T1 to L5, with scoliosis."""

from __future__ import annotations

from spondylo_ml.data.frontal.film import SLOTS, FrontalFilm, frontal_film
from spondylo_ml.data.frontal.film_set import FrontalImage, frontal_films
from spondylo_ml.data.frontal.rendering import render

__all__ = ["SLOTS", "FrontalFilm", "FrontalImage", "frontal_film", "frontal_films", "render"]
