"""Synthetic test films under one named condition each, to measure how robust a model is."""

from __future__ import annotations

from spondylo_ml.data.conditions.film_sets import CONDITIONS, NOT_LUMBAR, condition_films, training_films_under

__all__ = ["CONDITIONS", "NOT_LUMBAR", "condition_films", "training_films_under"]
