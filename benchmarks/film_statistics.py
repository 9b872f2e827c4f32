"""Draws grey levels and spectra of sets of films, to compare synthetic films with others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from spondylo_ml.config import DataConfig
from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.data.loading import load_films
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.landmarks import Film, FloatArray
from spondylo_ml.pages.figures.labels import Picture

SIDE_PX = 256
"""Height at which films are compared; finer detail depends on the size at which a film was exported."""

BINS = 64


def grey_histograms(films: Sequence[Film]) -> FloatArray:
    """(N, 64) share of each film's pixels in each of 64 grey bands, after the network's contrast stretch."""
    rows = [np.histogram(_scaled(film), bins=BINS, range=(0, 256))[0] for film in films]
    counts = np.array(rows, dtype=np.float64)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def radial_spectra(films: Sequence[Film]) -> FloatArray:
    """(N, 128) log10 power of the square-scaled film at 0 to 127 cycles per film, averaged over all directions.

    A Hann window keeps the film's edges out of the spectrum.
    """
    window = np.outer(np.hanning(SIDE_PX), np.hanning(SIDE_PX))
    frequency = np.fft.fftfreq(SIDE_PX, 1 / SIDE_PX)
    radius = np.rint(np.hypot(frequency[:, None], frequency[None])).astype(int)
    inside = radius < SIDE_PX // 2
    count = np.bincount(radius[inside])
    spectra = []
    for film in films:
        grey = cv2.resize(_scaled(film), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float64) / 255
        power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
        spectra.append(np.log10(np.bincount(radius[inside], weights=power[inside]) / count + 1e-9))
    return np.array(spectra)


def draw_statistics(sets: Mapping[str, Sequence[Film]]) -> Picture:
    """(H, W, 3) RGB: histogram and spectrum of each set; median and 5th to 95th percentile of its films."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    grey, spectrum = figure.subplots(1, 2)
    for name, films in sets.items():
        label = f"{name} ({len(films)})"
        _band(grey, np.linspace(0, 255, BINS), 100 * grey_histograms(films), label)
        _band(spectrum, np.arange(1.0, SIDE_PX // 2), radial_spectra(films)[:, 1:], label)
    grey.set(xlabel="grey level", ylabel="share of pixels, per cent", ylim=(0, 10))
    spectrum.set(xlabel="cycles per film", ylabel="log10 power", xscale="log")
    grey.legend(frameon=False)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3])  # type: ignore[no-untyped-call]


def _band(axes: object, x: FloatArray, rows: FloatArray, label: str) -> None:
    low, median, high = np.percentile(rows, [5, 50, 95], axis=0)
    (line,) = axes.plot(x, median, label=label)  # type: ignore[attr-defined]
    axes.fill_between(x, low, high, alpha=0.2, color=line.get_color())  # type: ignore[attr-defined]


def _scaled(film: Film) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = film.image.read()
    width = max(1, round(image.shape[1] * SIDE_PX / image.shape[0]))
    small = cv2.resize(image, (width, SIDE_PX), interpolation=cv2.INTER_AREA)
    return stretch_contrast(np.asarray(small, dtype=np.uint8))


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the statistics of synthetic films and, if a folder is given, of its films."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--films", type=Path, help="folder of films in any layout that the readers recognise")
    parser.add_argument("--count", type=int, default=200, help="number of synthetic films")
    options = parser.parse_args(arguments)
    sets = {"synthetic": phantom_films(options.count, 5, 384).films}
    if options.films:
        sets["given"] = load_films(DataConfig(path=options.films), for_training=False).films
    picture = draw_statistics(sets)
    if not cv2.imwrite(str(options.to), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        sys.exit(f"{options.to} cannot be written")


if __name__ == "__main__":
    main()
