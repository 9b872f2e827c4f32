"""The oracle: true corners encoded as heatmaps and decoded again, the best that any training can reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.diagnosis.results import CheckResult, check_result, no_usable_corner, not_applicable
from spondylo_ml.models.base import HeatmapModel, LandmarkModel
from spondylo_ml.models.codec import HeatmapCodec

NAME = "oracle"
TOLERANCE_CELLS = {"dark": 0.1, "argmax": 0.75, "soft_argmax": 0.5}
"""Largest error of one coordinate. A peak is at most half a cell off if the decoder returns the cell itself, or if the
border cuts its window."""


def check_oracle(model: LandmarkModel, films: Sequence[PreparedFilm]) -> CheckResult:
    """Check that encoding and decoding returns the corners of the films."""
    if not isinstance(model, HeatmapModel):
        return not_applicable(NAME, "the model has no heatmaps")
    errors = oracle_errors_cells(model.codec, films)
    if not len(errors):
        return no_usable_corner(NAME)
    worst, limit = float(errors.max()), TOLERANCE_CELLS[model.codec.decoder]
    return check_result(
        NAME,
        worst <= limit,
        f"targets decoded by {model.codec.decoder} are off by up to {worst:.3f} cells, {errors.mean():.3f} on average",
        worst,
        limit,
        "cells",
        "Encoder and decoder disagree: compare the stride and half-cell offsets in models/codec.py. Or the target is "
        "too narrow or the smoothing too wide for the decoder: try heatmap.blur_kernel=0 or heatmap.sigma_cells=1.5.",
    )


def oracle_errors_cells(
    codec: HeatmapCodec, films: Sequence[PreparedFilm]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(M,) larger error of the two coordinates of each labelled corner inside the input, cells."""
    errors = []
    for batch in plain_loader(films, 1):
        corners = batch.corners_xy.flatten(1, 2)
        height, width = batch.images.shape[2:]
        with torch.no_grad():
            decoded, _ = codec.decode(codec.encode(corners, (height // codec.stride, width // codec.stride)))
        error = (decoded - corners).abs().amax(dim=-1) / codec.stride
        errors.append(error[~error.isnan()].double().numpy())
    return np.concatenate(errors) if errors else np.zeros(0)
