"""Measures how time and memory grow with the number of films, their size, and the resamples of an interval.

Each number is from a process of its own, forked from this one, which first does the smallest of the work. Memory is
what the process holds itself, without the files that are mapped into it. Films are synthetic. The table goes into
benchmarks/README.md. For Linux.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.page import machine, write_table
from spondylo_ml.data.audit.checks import audit_films
from spondylo_ml.data.audit.duplicates import find_same
from spondylo_ml.data.audit.image_facts import measure_image, measure_images
from spondylo_ml.data.films import FilmSet, HeldImage
from spondylo_ml.data.prepare import prepare_film, prepare_films
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.intervals import PatientBootstrap

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
LONG_SIDE_PX = 96


def read(count: int) -> None:
    """Read a folder of so many small pictures; writing them is part of it."""
    with tempfile.TemporaryDirectory() as folder:
        grey = np.random.default_rng(0).integers(0, 255, (48, 32), dtype=np.uint8)
        _, picture = cv2.imencode(".png", grey)
        for number in range(count):
            (Path(folder) / f"{number}.png").write_bytes(picture.tobytes())
        assert len(read_folder(Path(folder)).films) == count


def audit(count: int) -> None:
    """Audit so many labelled films, duplicates included; drawing them is part of it."""
    films = _films(count)
    facts = measure_images(films.films)
    audit_films(films, facts, find_same(facts))


def compare(count: int) -> None:
    """Look for duplicates alone, among films whose cosine frequencies are random."""
    (film,) = _films(1).films
    fact, source = measure_image(film), np.random.default_rng(0)
    facts = [
        replace(fact, pixels_sha256=str(n), whole_dct=source.normal(size=(12, 12)), spine_dct=None)
        for n in range(count)
    ]
    find_same(facts)


def prepare(count: int) -> None:
    """Resize so many films to an input of 256 x 128 px, as training holds them in memory."""
    prepare_films(_films(count).films, SLOTS, (256, 128))


def film_size(n_pixels: int) -> None:
    """Measure and prepare one square film of so many pixels."""
    (film,) = _films(1).films
    side_px = math.isqrt(n_pixels)
    pixels = np.asarray(cv2.resize(film.image.read(), (side_px, side_px)), dtype=np.uint8)
    large = replace(film, image=HeldImage(pixels), size_hw=pixels.shape, vertebrae=None)
    measure_image(large)
    prepare_film(large, SLOTS, (256, 128))


def resamples(count: int) -> None:
    """The interval of the mean of 1,000 values of as many patients, by so many resamples."""
    patients = [f"p{n}" for n in range(1000)]
    PatientBootstrap(patients, count).mean(np.random.default_rng(0).normal(size=1000), patients)


WORK: dict[str, tuple[str, Callable[[int], None], int]] = {
    "read": ("films read from a folder", read, 100),
    "audit": (f"films audited, {LONG_SIDE_PX} px", audit, 100),
    "compare": ("films compared for duplicates", compare, 1000),
    "prepare": ("films prepared for training, 256 x 128 px", prepare, 100),
    "film_size": ("pixels of one film", film_size, 512**2),
    "resamples": ("resamples of an interval", resamples, 1000),
}
"""What grows, the work, and its size at 1x."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", nargs="+", type=int, default=[1, 4, 16, 64])
    parser.add_argument("--only", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--note", default="", help="about the machine, such as: shared core")
    arguments = parser.parse_args()
    head = "| | 1x | " + " | ".join(f"time at {n}x | memory at {n}x, MB" for n in arguments.times) + " |"
    lines = [head, "| --- " * (2 + 2 * len(arguments.times)) + "|"]
    for name in arguments.only:
        what, _, base = WORK[name]
        measured = [in_a_process(name, times * base) for times in arguments.times]
        cells = [f"{cpu_s / measured[0][0]:.1f} | {memory_mb:.0f}" for cpu_s, memory_mb in measured]
        lines.append(f"| {what} | {base:,} | {' | '.join(cells)} |")
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    text = machine(cv2.getNumThreads(), arguments.note) + ".\n\n" + "\n".join(lines) + "\n"
    write_table(text, BEGIN, END)


def in_a_process(name: str, size: int) -> tuple[float, float]:
    """Processor seconds, and peak memory above that of the smallest work, in MB."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_measured, (name, size))


def _measured(name: str, size: int) -> tuple[float, float]:
    _, work, _ = WORK[name]
    work(1 if name != "film_size" else 64**2)
    before_mb, started = _own_memory_mb(), time.process_time()
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        peak_mb = pool.submit(_peak_memory_mb, done)
        work(size)
        cpu_s = time.process_time() - started
        done.set()
        return cpu_s, peak_mb.result() - before_mb


def _peak_memory_mb(done: threading.Event) -> float:
    peak_mb = _own_memory_mb()
    while not done.wait(0.02):
        peak_mb = max(peak_mb, _own_memory_mb())
    return peak_mb


def _own_memory_mb() -> float:
    memory = psutil.Process().memory_info()
    return float(memory.rss - memory.shared) / 1e6


def _films(count: int) -> FilmSet:
    return phantom_films(count, 0, long_side_px=LONG_SIDE_PX)


if __name__ == "__main__":
    main()
