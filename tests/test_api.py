"""The Python interface: the example of each function, its errors, and what importing it costs."""

from __future__ import annotations

import doctest
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pytest
from extensions import temporary_registrations
from mlflow.tracking import MlflowClient
from small_models import unet_bundle
from stores import store_in

import spondylo_ml
from spondylo_ml.data.phantom import phantom_film, render
from spondylo_ml.errors import ConfigError, DataError, TrackingError
from spondylo_ml.serving.artefact import log_bundle
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.model_address import REGISTERED_MODEL

FUNCTIONS = [name for name in spondylo_ml.__all__ if inspect.isfunction(getattr(spondylo_ml, name))]
PACKAGE_PARENT = Path(spondylo_ml.__file__).parents[1]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder, with two films and an MLflow store whose champion is a U-Net with random weights."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "films").mkdir()
    for index in range(2):
        cv2.imwrite(str(folder / "films" / f"{index}.png"), render(phantom_film(1, index, 128)))
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mlflow.set_tracking_uri(store_in(folder))
        with mlflow.start_run():
            uri = log_bundle(unet_bundle(), step=1)
        mlflow.register_model(uri, REGISTERED_MODEL)
        MlflowClient().set_registered_model_alias(REGISTERED_MODEL, "champion", "1")
        yield folder
        mlflow.set_tracking_uri(before)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "evaluate" else ()) for name in FUNCTIONS]
)
def test_the_example_of_each_function_gives_its_stated_output(name: str, workplace: Path) -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(spondylo_ml, name), name, globs={})
    assert len(example.examples) >= 2
    output: list[str] = []
    with temporary_registrations():
        result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=output.append)
    assert result.failed == 0, "".join(output)


def test_the_public_names_are_the_listed_functions() -> None:
    assert set(FUNCTIONS) == {
        "create_model", "draw_phantoms", "evaluate", "load", "measure", "predict", "read_films", "train",
        "register_loss", "register_model", "register_reader",
    }  # fmt: skip
    assert dir(spondylo_ml) == spondylo_ml.__all__ == sorted(spondylo_ml.__all__)
    with pytest.raises(AttributeError, match="module 'spondylo_ml' has no attribute 'trian'"):
        _ = spondylo_ml.trian


def test_importing_the_package_imports_no_other_installed_package() -> None:
    code = (
        "import sys; before = set(sys.modules); import spondylo_ml; spondylo_ml.__version__; dir(spondylo_ml);"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; print(new - sys.stdlib_module_names)"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_PARENT)}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert process.stdout.strip() == "{'spondylo_ml'}"


def test_dotted_settings_override_the_recipe() -> None:
    model = spondylo_ml.create_model("resnet50", **{"data.first_slot": 1, "data.n_slots": 3})
    assert (model.slots.first, model.slots.count) == (1, 3)
    assert type(model).__name__ == "ResNet50"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spondylo_ml.train("unett"), r"unknown model 'unett'\. Did you mean 'unet'\?"),
        (lambda: spondylo_ml.train(preset="smok"), r"unknown preset 'smok'\. Did you mean 'smoke'\?"),
        (lambda: spondylo_ml.train(epochs=3), r"unknown name 'epochs'\. Did you mean 'training\.epochs'\?"),
        (lambda: spondylo_ml.train(training={"epoch": 3}), r"'training\.epoch'\. Did you mean 'training\.epochs'\?"),
        (lambda: spondylo_ml.train(training=3), r"training: given 3\. A section of names and values is needed"),
        (lambda: spondylo_ml.train(data={"kind": "coco"}), r"data\.kind coco needs a folder"),
        (lambda: spondylo_ml.train(data={"folds": 5}), r"cross-validation, which is a command: .* --folds 5"),
        (lambda: spondylo_ml.evaluate("a", splitt="val"), r"unknown name 'splitt'\. Did you mean 'split'\?"),
        (lambda: spondylo_ml.evaluate("a", split="vale"), r"split: given 'vale'\. .*Did you mean 'val'\?"),
        (lambda: spondylo_ml.create_model("unet", modell=1), r"unknown name 'modell'"),
        (lambda: spondylo_ml.read_films("films", kin="coco"), r"unknown name 'kin'\. Did you mean 'kind'\?"),
        (lambda: spondylo_ml.draw_phantoms(0), r"count: given 0\. .*greater than or equal to 1"),
        (lambda: spondylo_ml.draw_phantoms(2, side=640), r"unknown name 'side'\. Did you mean 'long_side_px'\?"),
        (lambda: spondylo_ml.measure([], slip_methd="x"), r"unknown name 'slip_methd'\. Did you mean 'slip_method'\?"),
        (lambda: spondylo_ml.measure([], facing="lft"), r"unknown facing 'lft'\. Did you mean 'left'\?"),
        (lambda: spondylo_ml.predict([], facing="rihgt"), r"unknown facing 'rihgt'\. Did you mean 'right'\?"),
        (lambda: spondylo_ml.load("champion", backend="onx"), r"unknown backend 'onx'\. Did you mean 'onnx'\?"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_an_error_that_says_what_is_allowed(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_missing_films_runs_and_models_are_errors(workplace: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        spondylo_ml.read_films("nowhere")
    with pytest.raises(TrackingError, match="no run 'a'"):
        spondylo_ml.evaluate("a")
    with pytest.raises(TrackingError, match="no alias 'challenger'; its aliases: champion"):
        spondylo_ml.predict("film.png", model="challenger")


def test_predict_takes_one_film_or_many_of_any_kind(workplace: Path) -> None:
    model = spondylo_ml.load()
    assert isinstance(model, FilmModel)
    path = workplace / "films" / "0.png"
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    films = [path, str(path), path.read_bytes(), pixels]
    alone = [spondylo_ml.predict(film, model)[0] for film in films]
    together = spondylo_ml.predict(films, model)
    of_dataset = spondylo_ml.predict(spondylo_ml.read_films("films"), model)
    assert len({result.film_key for result in [*alone, *together, of_dataset[0]]}) == 1
    assert [len(together), len(of_dataset)] == [4, 2]
    assert spondylo_ml.predict(workplace / "none.png", model)[0].error


def test_predict_measures_with_the_given_facing_spacing_and_aspect(workplace: Path) -> None:
    (result,) = spondylo_ml.predict("films/0.png", facing="right", spacing_mm=0.25, pixel_aspect=1)
    assert result.measurement is not None
    assert result.film is not None
    assert result.film.spacing is not None
    measurement = result.measurement
    assert (measurement.facing, measurement.facing_from, measurement.pixel_aspect) == ("right", "given", 1.0)
    assert (result.film.spacing.x_mm, result.film.spacing.y_mm) == (0.25, 0.25)
    with pytest.raises(DataError, match="a Film has its own facing"):
        spondylo_ml.predict(spondylo_ml.draw_phantoms(1), facing="left")


def test_measure_uses_the_facing_of_the_film_unless_another_is_given() -> None:
    film = spondylo_ml.draw_phantoms(1, seed=3, slips="even")[0]
    measured, mirrored = spondylo_ml.measure(film), spondylo_ml.measure(film, facing=str(film.facing.mirrored()))
    assert (measured.facing, mirrored.facing) == (film.facing, film.facing.mirrored())
    assert film.vertebrae is not None
    vertebrae_only = spondylo_ml.measure(film.vertebrae, facing=str(film.facing))
    slips = [[level.slip.value for level in measurement.levels] for measurement in (measured, mirrored, vertebrae_only)]
    np.testing.assert_allclose(slips[0], slips[2], atol=0.5)  # vertebrae alone have no pixel aspect
    assert max(np.abs(slips[0])) > 10
    assert not np.allclose(slips[0], slips[1])
    with pytest.raises(DataError, match="no corners to measure"):
        spondylo_ml.measure(replace(film, vertebrae=None))
