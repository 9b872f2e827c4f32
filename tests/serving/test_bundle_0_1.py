"""A model bundle written by version 0.1.0 still loads and still gives the same corners, slips and grades."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spondylo_ml.serving.bundle import bundle_digest, load_bundle
from spondylo_ml.serving.film_model import FilmModel

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "bundle_0_1"
MODEL_DIGEST = "596f67dae4dd1e8cdf6c1cb34e9d655b8a3a21c32bc86fa190dc205650ee1257"
CORNERS_WITHIN_PX = 1e-3
NUMBERS = ("slip_percent", "slip_mm", "low_percent", "high_percent", "coverage", "grade_probabilities")


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked bundle: a U-Net whose channels are mostly 0, so that it compresses well."""
    folder = tmp_path_factory.mktemp("bundle_0_1")
    with tarfile.open(FIXTURE / "model.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What version 0.1.0 predicted on the film, as a row of `FilmResult.to_row`."""
    row: dict[str, Any] = json.loads((FIXTURE / "expected.json").read_text(encoding="utf-8"))
    return row


def test_the_digest_of_the_files_is_unchanged(bundle_folder: Path) -> None:
    assert bundle_digest(bundle_folder) == MODEL_DIGEST


def test_predictions_are_those_of_the_version_that_wrote_the_bundle(
    bundle_folder: Path, expected: dict[str, Any]
) -> None:
    model = FilmModel(load_bundle(bundle_folder, MODEL_DIGEST), expected["model"])
    (result,) = model.predict(FIXTURE / "film.png")
    row = result.to_row()
    assert row.keys() == expected.keys()
    np.testing.assert_allclose(row["corners_xy_px"], expected["corners_xy_px"], atol=CORNERS_WITHIN_PX, rtol=0)
    np.testing.assert_allclose(row["presence"], expected["presence"], atol=1e-4)
    np.testing.assert_allclose(row["corner_score"], expected["corner_score"], atol=1e-4)
    for name in ("film_key", "size_hw_px", "levels", "facing", "levels_known", "model", "error"):
        assert row[name] == expected[name], name
    assert len(row["slips"]) == len(expected["slips"])
    for slip, expected_slip in zip(row["slips"], expected["slips"], strict=True):
        for name in NUMBERS:
            assert slip[name] == (
                None if expected_slip[name] is None else pytest.approx(expected_slip[name], abs=0.01)
            ), name
        for name in set(expected_slip) - {*NUMBERS, "verdict"}:  # the wording of verdicts may change
            assert slip[name] == expected_slip[name], name
