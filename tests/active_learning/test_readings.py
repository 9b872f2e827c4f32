"""Readings of a film and its mirror image by real networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from small_models import KnownCorners, small_bundle

from spondylo_ml.active_learning.film_scores import mirror_shift
from spondylo_ml.active_learning.readings import TwoWayReader, mirrored_back, reading_one_image
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.models.base import Landmarks
from spondylo_ml.serving.predictor import Predictor
from spondylo_ml.training.device import Compute

CPU = Compute("cpu", "fp32", "test")


def test_mirroring_landmarks_twice_gives_them_back() -> None:
    corners = torch.rand(2, 3, 4, 2) * 50
    landmarks = Landmarks(corners, torch.rand(2, 3, 4), torch.rand(2, 3))
    once = mirrored_back(landmarks, 64)
    assert_allclose(once.corners_xy[:, :, 0, 0], 63 - corners[:, :, 1, 0])
    assert_allclose(once.corners_xy[..., 0, 1], corners[..., 1, 1])
    for before, after in zip(landmarks[:3], mirrored_back(once, 64)[:3], strict=True):
        assert before is not None
        assert after is not None
        assert_allclose(before, after, atol=1e-5)


def test_a_model_that_averages_both_images_is_asked_about_each_alone() -> None:
    bundle = small_bundle("unet")
    films = phantom_films(2, 3, 96).films
    (one, _) = TwoWayReader(bundle.model, CPU).read(prepare_films(films, SLOTS, (64, 64)))
    assert mirror_shift(one.as_is, one.mirrored, films[0].size_hw).px512 > 1
    assert bundle.model.config.heatmap.flip_average, "the model itself is unchanged"
    averaged = Predictor(bundle).predict(films)[0]
    assert np.abs(averaged.corners_xy - one.as_is.corners_xy).max() > 0.1
    alone = reading_one_image(bundle.model)
    image = torch.randint(0, 255, (1, 1, 64, 64), dtype=torch.uint8)
    assert_allclose(alone.predict(image).presence, bundle.model.predict(image).presence, atol=0.2)


def test_features_of_a_film_and_its_mirror_image_are_the_same_and_those_of_other_films_differ() -> None:
    bundle = small_bundle("unet")
    prepared = prepare_films(phantom_films(3, 3, 96).films, SLOTS, (64, 64))
    reader = TwoWayReader(bundle.model, CPU)
    features = reader.features(prepared)
    assert features.shape[0] == 3
    mirrored = [type(film)(film.film, film.letterbox, film.image[:, ::-1].copy(), film.corners_xy, film.present)
                for film in prepared]  # fmt: skip
    assert_allclose(reader.features(mirrored), features, atol=1e-5)
    assert np.linalg.norm(features[0] - features[1]) > 1e-2
    assert not bundle.model.encoder[-1]._forward_hooks, "no hook is left behind"


@pytest.mark.parametrize("name", ["resnet50", "cascade_net", pytest.param("keypoint_rcnn", marks=pytest.mark.slow)])
def test_features_come_from_the_backbone_of_other_models(name: str) -> None:
    bundle = small_bundle(name)
    reader = TwoWayReader(bundle.model, CPU)
    assert reader.has_features
    features = reader.features(prepare_films(phantom_films(2, 3, 96).films, SLOTS, (64, 64)))
    assert features.shape[1] > 64
    assert np.abs(features[0] - features[1]).max() > 0


def test_a_model_without_a_known_part_has_no_features() -> None:
    films = phantom_films(2, 3, 96).films
    reader = TwoWayReader(KnownCorners([*films, *films]), CPU)
    assert not reader.has_features
    assert reader.features(prepare_films(films, SLOTS, (64, 64))).shape == (2, 0)
