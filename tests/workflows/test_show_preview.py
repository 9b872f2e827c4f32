"""`show` and `preview`: pictures of films with labels, predictions and augmentation, and one page of them."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_models import unet_bundle

from spondylo_ml.config import PreviewOptions, ShowConfig, resolve_config
from spondylo_ml.data.augment import Augmenter
from spondylo_ml.data.batches import PreparedDataset
from spondylo_ml.data.epochs import EpochIndex
from spondylo_ml.data.loading import load_films
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.serving.bundle import save_bundle
from spondylo_ml.workflows.preview import draw_input, preview
from spondylo_ml.workflows.show import show

DATA = {"phantom_films": 30, "phantom_long_side_px": 96, "val_fraction": 0.2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model."""
    folder = tmp_path_factory.mktemp("model")
    save_bundle(unet_bundle(), folder)
    return folder


def picture(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(image, dtype=np.uint8)


def shown_names(page: Path) -> list[str]:
    return re.findall(r'<figure id="([^"]+)">', page.read_text(encoding="utf-8"))


def test_labels_are_shown_without_a_model(tmp_path: Path) -> None:
    config = ShowConfig.model_validate({"to": tmp_path / "out", "data": DATA, "films": 3, "height_px": 200})
    shown = show(config)
    names = shown_names(shown.page)
    assert (shown.n_films, len(names), len(set(names))) == (3, 3, 3)
    val = {film.film_id for film in load_films(config.data).part("val")}
    assert set(names) <= val
    for name in names:
        image = picture(tmp_path / "out" / f"{name}.png")
        assert image.shape[0] == 200
        assert (image[..., 0].astype(int) - image[..., 2] > 100).any(), "outlines are cyan"
    text = shown.page.read_text(encoding="utf-8")
    assert "labels from S1 to" in text
    assert "http" not in re.sub(r"data:image/jpeg;base64,[^\"]+", "", text)


@pytest.mark.slow
def test_predictions_are_ranked_by_their_error(tmp_path: Path, model: Path) -> None:
    options = {"data": DATA, "films": 4, "height_px": 200, "model": str(model), "split": "val"}
    errors = {}
    for choose in ("worst", "best"):
        page = show(ShowConfig.model_validate({**options, "to": tmp_path / choose, "choose": choose})).page
        text = page.read_text(encoding="utf-8")
        assert f"{choose} first" in text
        errors[choose] = [float(value) for value in re.findall(r"mean error ([\d.]+) px512</figcaption>", text)]
        assert len(list((tmp_path / choose).glob("*.png"))) == 4
    assert errors["worst"] == sorted(errors["worst"], reverse=True)
    assert errors["best"] == sorted(errors["best"])
    assert errors["worst"][0] > errors["best"][0]
    with_maps = show(ShowConfig.model_validate({**options, "to": tmp_path / "maps"}))
    plain = show(ShowConfig.model_validate({**options, "to": tmp_path / "plain", "heatmaps": False}))
    name = shown_names(with_maps.page)[0]
    assert shown_names(plain.page)[0] == name
    assert not np.array_equal(picture(tmp_path / "maps" / f"{name}.png"), picture(tmp_path / "plain" / f"{name}.png"))


def test_a_bad_request_to_show_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no test part: choose another --split"):
        show(ShowConfig.model_validate({"to": tmp_path, "data": DATA | {"test_fraction": 0}, "split": "test"}))
    with pytest.raises(ValueError, match="choose=worst ranks films by the error of a model: give model too"):
        ShowConfig(to=tmp_path, choose="worst")


def test_the_preview_is_exactly_what_a_training_run_sees(tmp_path: Path) -> None:
    values = {"preset": "smoke", "seed": 3, "data": DATA | {"max_films": None, "input_hw": [96, 64]}}
    options = PreviewOptions(to=tmp_path / "out", films=2, epochs_shown=2)
    shown = preview(options, values)
    config = resolve_config(values)
    films = load_films(config.data)
    train = prepare_films(films.part("train"), films.slots, (96, 64))
    dataset = PreparedDataset(train, 3, Augmenter(config.augmentation))
    expected = [
        draw_input(PreparedDataset(train)[1], "prepared"),
        draw_input(dataset[EpochIndex(0, 1)], "epoch 1"),
        draw_input(dataset[EpochIndex(1, 1)], "epoch 2"),
    ]
    names = shown_names(shown.page)
    assert names == [film.film.film_id for film in train[:2]]
    sheet = picture(tmp_path / "out" / f"{names[1]}.png")[..., ::-1]
    height, width = expected[0].shape[:2]
    for index, one in enumerate(expected):
        left = index * (width + 6)
        np.testing.assert_array_equal(sheet[:height, left : left + width], one)
    assert not np.array_equal(expected[1], expected[2])
    assert "Augmentation: " in shown.page.read_text(encoding="utf-8")
    off = preview(PreviewOptions(to=tmp_path / "off", films=1), values | {"augmentation": {"enabled": False}})
    assert "Augmentation is off" in off.page.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown preset 'smok'"):
        preview(options, {"preset": "smok"})
