"""Small datasets of synthetic films on disk, in the layouts of the readers."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.phantom import phantom_film, render
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, FloatArray, GreyImage, SlotRange, Vertebra

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

JSON_FROM_CORNERS = (2, 3, 0, 1)  # BL, BR, TL, TR from superior left, superior right, inferior left, inferior right
TXT_FROM_CORNERS = (0, 2, 3, 1)  # TL, BL, BR, TR

LABELS = Path("Train") / "Keypointrcnn_data" / "labels"
IMAGES = Path("Train") / "Keypointrcnn_data" / "images"


@dataclass(frozen=True)
class SyntheticFilm:
    """A synthetic film: (H, W) pixels and (V, 4, 2) corners in px, from the sacrum up."""

    pixels: GreyImage
    corners_xy: FloatArray

    @property
    def size_hw(self) -> tuple[int, int]:
        height, width = self.pixels.shape
        return height, width


def synthetic_film(index: int = 0, long_side_px: int = 96) -> SyntheticFilm:
    """A synthetic film, reproducible by its index."""
    film = phantom_film(11, index, long_side_px)
    return SyntheticFilm(render(film), np.stack([v.corners_xy for v in film.vertebrae]))


def json_label(corners_xy: FloatArray, visible: NDArray[np.bool_] | None = None) -> dict[str, object]:
    """The JSON label of (V, 4, 2) corners from the sacrum up; the label lists them head to tail."""
    visibility = np.ones(corners_xy.shape[:2], dtype=bool) if visible is None else visible
    order = list(JSON_FROM_CORNERS)
    keypoints = [
        [[*map(float, xy), int(v)] for xy, v in zip(quad[order], row[order], strict=True)]
        for quad, row in zip(corners_xy[::-1], visibility[::-1], strict=True)
    ]
    boxes = [[*map(float, quad.min(axis=0)), *map(float, quad.max(axis=0))] for quad in corners_xy[::-1]]
    return {"boxes": boxes, "keypoints": keypoints, "labels": [0] * len(keypoints)}


def txt_label(corners_xy: FloatArray, size_hw: tuple[int, int], visible: NDArray[np.bool_] | None = None) -> str:
    """The TXT label of (V, 4, 2) corners from the sacrum up; the label lists them head to tail."""
    visibility = np.ones(corners_xy.shape[:2], dtype=bool) if visible is None else visible
    order = list(TXT_FROM_CORNERS)
    lines = []
    for quad, row in zip(corners_xy[::-1], visibility[::-1], strict=True):
        fractions = quad / np.array([size_hw[1], size_hw[0]])
        low, high = fractions.min(axis=0), fractions.max(axis=0)
        fields = [0, *(low + high) / 2, *(high - low)]
        for (x, y), v in zip(fractions[order], row[order], strict=True):
            fields += [x, y, 2 if v else 0]
        lines.append(" ".join(repr(float(value)) for value in fields))
    return "\n".join(lines) + "\n"


def write_image(root: Path, split: str, stem: str, pixels: GreyImage) -> Path:
    """Write a film in the Mendeley layout without a label; lossless, so that pixels can be compared."""
    folder = root / "Test" if split == "test" else root / IMAGES / split
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.png"
    assert cv2.imwrite(str(path), pixels)
    return path


def write_label(root: Path, split: str, name: str, content: object) -> Path:
    """Write a label in the Mendeley layout: text as it is, anything else as JSON."""
    folder = root / LABELS / split
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def mendeley_folder(root: Path, train: int = 3, val: int = 2, test: int = 1, long_side_px: int = 96) -> Path:
    """Write a valid Mendeley layout: films with JSON and TXT labels in turn, and unlabelled ones in `Test/`."""
    for split, count, first in (("train", train, 0), ("val", val, train)):
        for index in range(first, first + count):
            film, stem = synthetic_film(index, long_side_px), f"{90000 + index}-F-050Y1_jpg.rf.{index:04x}"
            write_image(root, split, stem, film.pixels)
            if index % 2:
                write_label(root, split, f"{stem}.txt", txt_label(film.corners_xy, film.size_hw))
            else:
                write_label(root, split, f"{stem}.json", json_label(film.corners_xy))
    for index in range(train + val, train + val + test):
        write_image(root, "test", f"unlabelled-{index}", synthetic_film(index, long_side_px).pixels)
    return root


def ap_corners(size_hw: tuple[int, int]) -> FloatArray:
    """(17, 4, 2) upright rectangles head to tail, in px."""
    height, width = size_hw
    tops = np.linspace(0.03, 0.92, 17) * height
    low, high = 0.4 * width, 0.6 * width
    body = 0.035 * height
    return np.array([[[low, y], [high, y], [low, y + body], [high, y + body]] for y in tops])


def landmark_row(corners_xy: FloatArray, size_hw: tuple[int, int]) -> list[float]:
    """A row of landmarks.csv: 68 x, then 68 y, as fractions of width and height."""
    fractions = corners_xy.reshape(-1, 2) / np.array([size_hw[1], size_hw[0]])
    return [*map(float, fractions[:, 0]), *map(float, fractions[:, 1])]


def spineweb_folder(
    root: Path, names: Sequence[str] = ("ap_0.png", "ap_1.png", "ap_2.png"), patients: Sequence[str] | None = None
) -> Path:
    """Write a valid SpineWeb-16 layout with films of 200 px height and 100 px width."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    size_hw = (200, 100)
    for index, name in enumerate(names):
        pixels = np.random.default_rng(index).integers(0, 255, size_hw, dtype=np.uint8)
        assert cv2.imwrite(str(root / "images" / name), pixels)
    write_rows(root / "filenames.csv", [[name] for name in names])
    write_rows(root / "landmarks.csv", [landmark_row(ap_corners(size_hw), size_hw)] * len(names))
    if patients is not None:
        rows = [[name, patient] for name, patient in zip(names, patients, strict=True)]
        write_rows(root / "films.csv", [["filename", "patient"], *rows])
    return root


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV without quotes."""
    path.write_text("".join(",".join(str(cell) for cell in row) + "\n" for row in rows), encoding="utf-8")


@dataclass(frozen=True)
class ArrayImage:
    """An image in memory."""

    pixels: GreyImage

    def read(self) -> GreyImage:
        return self.pixels

    def fingerprint(self) -> str:
        return self.pixels.tobytes().hex()


def square(slot: int, x: float, y: float, side: float = 10.0) -> Vertebra:
    """An upright square vertebra with its superior left corner at (x, y)."""
    return Vertebra(slot, np.array([[x, y], [x + side, y], [x, y + side], [x + side, y + side]]))


def plain_film(
    film_id: str = "film",
    vertebrae: tuple[Vertebra, ...] | None = (),
    size_hw: tuple[int, int] = (100, 80),
    patient: str | None = None,
    split: str | None = None,
    pixels: GreyImage | None = None,
    facing: Facing = Facing.LEFT,
) -> Film:
    """A film in memory, black unless pixels are given, with a separate patient unless one is given."""
    return Film(
        film_id=film_id,
        image=ArrayImage(np.zeros(size_hw, dtype=np.uint8) if pixels is None else pixels),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=facing,
        patient=film_id if patient is None else patient,
        source="made",
        split=split,
    )


def prediction_of(
    film: Film, slots: SlotRange, shift_xy: tuple[float, float] = (0.0, 0.0), presence: Sequence[float] | None = None
) -> FilmPrediction:
    """The labels of the film shifted by `shift_xy` px; zero for absent corners."""
    corners = np.nan_to_num(slots.corners(film.vertebrae or ()) + np.array(shift_xy))
    present = [
        float(any(v.slot == s for v in film.vertebrae or ())) for s in range(slots.first, slots.first + slots.count)
    ]
    return FilmPrediction(
        film_id=film.film_id,
        slots=slots,
        corners_xy=corners,
        corner_score=np.ones((slots.count, 4)),
        presence=np.array(present if presence is None else presence, dtype=np.float64),
    )


def png_with_damaged_pixels(png: bytes) -> bytes:
    """The PNG with pixels that cannot be decompressed but valid chunks and checksums: only decoding detects it."""
    start_and_header = png[: 8 + 25]
    pixels = b"IDAT" + b"no compressed pixels"
    body = struct.pack(">I", len(pixels) - 4) + pixels + struct.pack(">I", zlib.crc32(pixels))
    return start_and_header + body + b"\0\0\0\0IEND\xaeB`\x82"
