"""What sets of films look like as a whole: grey levels and spectra, for comparing synthetic films with real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from spondylo_ml.data.letterbox import stretch_contrast
from spondylo_ml.landmarks import Film, FloatArray
from spondylo_ml.pages.figures.overlay import Picture

SIDE_PX = 256
"""Films are compared at this height; finer detail depends on how large a film was exported."""

BINS = 64


def grey_histograms(films: Sequence[Film]) -> FloatArray:
    """(N, 64) share of each film's pixels in each of 64 bands of grey, after the network's contrast stretch."""
    rows = [np.histogram(_scaled(film), bins=BINS, range=(0, 256))[0] for film in films]
    counts = np.array(rows, dtype=np.float64)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def radial_spectra(films: Sequence[Film]) -> FloatArray:
    """(N, 128) log10 of the power, averaged over all directions, at 0 to 127 cycles per film, of the central square.

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
    """(H, W, 3) RGB: histogram and spectrum of each set, median and the middle nine tenths of its films."""
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
