"""Histograms and spectra of sets of films."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from builders import plain_film

from benchmarks.film_statistics import SIDE_PX, draw_statistics, grey_histograms, main, radial_spectra
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.landmarks import Film


def waves(cycles: int, amplitude: float = 100.0) -> Film:
    """A square film of `cycles` vertical waves."""
    x = np.arange(SIDE_PX) / SIDE_PX
    row = 127.5 + amplitude * np.sin(2 * np.pi * cycles * x)
    return plain_film(pixels=np.tile(row.round().astype(np.uint8), (SIDE_PX, 1)), size_hw=(SIDE_PX, SIDE_PX))


def test_a_film_half_black_half_white_fills_two_bins() -> None:
    pixels = np.zeros((SIDE_PX, SIDE_PX), dtype=np.uint8)
    pixels[:, SIDE_PX // 2 :] = 255
    (histogram,) = grey_histograms([plain_film(pixels=pixels, size_hw=pixels.shape)])
    assert histogram[0] == histogram[-1] == 0.5
    assert histogram[1:-1].sum() == 0


@pytest.mark.parametrize("cycles", [8, 20, 64])
def test_waves_peak_at_their_frequency(cycles: int) -> None:
    (spectrum,) = radial_spectra([waves(cycles)])
    others = np.delete(spectrum, [0, cycles - 2, cycles - 1, cycles, cycles + 1, cycles + 2])
    assert int(spectrum[1:].argmax()) + 1 == cycles
    assert spectrum[cycles] > others.max() + 0.5


def test_histograms_and_spectra_have_one_row_per_film_and_are_drawn() -> None:
    films = phantom_films(3, 0, 128).films
    np.testing.assert_allclose(grey_histograms(films).sum(axis=1), 1)
    assert radial_spectra(films).shape == (3, 128)
    picture = draw_statistics({"synthetic": films, "waves": [waves(8)]})
    assert picture.shape == (400, 1000, 3)
    assert (picture < 250).any()


def test_the_script_writes_the_picture(tmp_path: Path) -> None:
    main(["--to", str(tmp_path / "statistics.png"), "--count", "2"])
    assert cv2.imread(str(tmp_path / "statistics.png")).shape == (400, 1000, 3)
