"""Makes the pictures of docs/daily_loop.md from the folder in which its test walked. Synthetic films only.

    python -m pytest -m slow tests/workflows/test_daily_loop.py --basetemp walk -o tmp_path_retention_policy=all
    python docs/daily_loop_pictures.py --walk walk/test_from_films_to_drafts_corr0

Needs Chromium and Playwright for the pages, pdftoppm (poppler-utils) for the PDF.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom

CHROMIUM = "/usr/bin/chromium"
PAGE_WIDTH_PX = 1000
GAP_PX = 8
MOST_BYTES = 200_000

Picture = Any
"""(H, W, 3) levels in OpenCV's order, blue first."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the seven pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walk", type=Path, required=True, help="folder of the walk")
    parser.add_argument("--to", type=Path, default=Path("docs"), help="folder of the pictures")
    options = parser.parse_args(arguments)
    walk = options.walk
    corrections = _first(walk, "mlruns/*/*/artifacts/not_back.csv").parent
    training = _first(walk, "mlruns/*/*/artifacts/config.yaml").parent
    pdf, capture = _report(walk)
    pictures = {
        "films": in_a_row(_pictures(walk / "read/drafts/images", 6), 220),
        "drafts": in_a_row(_pictures(walk / "read/overlays", 4), 330),
        "corrections": in_a_row(_pictures(corrections / "pictures", 4), 330),
        "training": photographed(training / "index.html"),
        "promotion": photographed(_first(walk, "mlruns/*/*/artifacts/candidates/*/model_card.html")),
        "reports": in_a_row([_framed(printed(pdf)), overlay(capture)], 820),
        "next": photographed(walk / "week_2/index.html", 940, "Films to label first"),
    }
    for name, picture in pictures.items():
        write(picture, options.to / f"loop-{name}.jpg")


def in_a_row(pictures: Sequence[Picture], height_px: int) -> Picture:
    """Pictures of one height beside each other."""
    gap = np.full((height_px, GAP_PX, 3), 255, dtype=np.uint8)
    parts = []
    for picture in pictures:
        width_px = round(picture.shape[1] * height_px / picture.shape[0])
        parts += [gap, cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA)]
    return np.concatenate(parts[1:], axis=1)


def photographed(page: Path, height_px: int = 1150, heading: str = "") -> Picture:
    """The page as a browser shows it, from its top or from a heading."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": PAGE_WIDTH_PX, "height": height_px})
        tab.goto(page.resolve().as_uri())
        if heading:
            tab.get_by_role("heading", name=heading, exact=True).evaluate("element => element.scrollIntoView()")
        tab.screenshot(path=f"{folder}/page.png")
        browser.close()
        return cv2.imread(f"{folder}/page.png")


def printed(pdf: Path) -> Picture:
    """The only page of a PDF, at 100 px per inch."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["pdftoppm", "-r", "100", "-png", "-singlefile", str(pdf), f"{folder}/page"], check=True)
        return cv2.imread(f"{folder}/page.png")


def overlay(file: Path) -> Picture:
    """The pixels of a Secondary Capture."""
    return np.ascontiguousarray(pydicom.dcmread(file).pixel_array[..., ::-1])


def write(picture: Picture, file: Path) -> None:
    """Write a JPEG, as good as its size allows."""
    for quality in (90, 80, 70, 60):
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(encoded) < MOST_BYTES:
            file.write_bytes(encoded)
            return
    raise ValueError(f"{file.name} has more than {MOST_BYTES} bytes at each quality")


def _report(walk: Path) -> tuple[Path, Path]:
    """PDF and Secondary Capture of the film with the fewest warnings; captures are named by their UIDs alone."""
    films = json.loads((walk / "results/predictions.json").read_text(encoding="utf-8"))["films"]
    place = min(range(len(films)), key=lambda number: len(films[number]["warnings"]))
    captures = sorted((walk / "for_archive/overlays").glob("*.dcm"), key=lambda path: path.stat().st_mtime_ns)
    return walk / f"results/reports/{films[place]['film']}.pdf", captures[place]


def _framed(picture: Picture) -> Picture:
    return cv2.copyMakeBorder(picture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(140, 140, 140))


def _pictures(folder: Path, count: int) -> list[Picture]:
    return [cv2.imread(str(path)) for path in sorted(folder.glob("*.png"))[:count]]


def _first(walk: Path, pattern: str) -> Path:
    """The file that was written first: of the first week."""
    return min(walk.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


if __name__ == "__main__":
    main()
