"""Synthetic lateral lumbar radiographs with exact ground truth."""

from __future__ import annotations

from spondylo_ml.data.phantom.additions import ADDITION_NAMES, Addition
from spondylo_ml.data.phantom.anatomy import Slips
from spondylo_ml.data.phantom.film import PhantomFilm, phantom_film
from spondylo_ml.data.phantom.posture import Posture
from spondylo_ml.data.phantom.rendering import render
from spondylo_ml.data.phantom.styles import STYLE_NAMES

__all__ = ["ADDITION_NAMES", "STYLE_NAMES", "Addition", "PhantomFilm", "Posture", "Slips", "phantom_film", "render"]
