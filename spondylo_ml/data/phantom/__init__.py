"""Synthetic lateral lumbar radiographs with exact truth."""

from __future__ import annotations

from spondylo_ml.data.phantom.film import PhantomFilm, phantom_film
from spondylo_ml.data.phantom.rendering import render

__all__ = ["PhantomFilm", "phantom_film", "render"]
