"""Spondylolisthesis Vertebral Landmark Dataset (Mendeley Data, doi 10.17632/5jdfdgp762.1): lateral films.

Layout: `Train/Keypointrcnn_data/images/{train,val}/<stem>.jpg` with `labels/{train,val}/<stem>.json` or `.txt`, and
`Test/` with films that have no labels. Two label formats lie in one folder, each with its own order of corners:
JSON holds BL, BR, TL, TR in px, TXT (YOLO-pose) TL, BL, BR, TR as shares of width and height.

No level is named. The lowest labelled vertebra is taken for S1, which it nearly always is; films say so in
`levels_from`. Facing is not labelled either.

Films of 640 x 640 px are exports, each stretched to that size by an amount that is not given.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spondylo_ml.data.films import FileImage, FilmSet, Finding
from spondylo_ml.data.quadrilateral import require_inside, signed_area_px2
from spondylo_ml.data.readers.base import (
    IMAGE_SUFFIXES,
    as_finding,
    finite_numbers,
    image_size_hw,
    images_in,
    parse_floats,
    read_each,
    usable_vertebrae,
)
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import MIRRORED_CORNERS, Facing, Film, FloatArray, SlotRange, Vertebra

SLOTS = SlotRange(first=0, count=10)
EXPORT_HW = (640, 640)
LEVELS_FROM = "assumed: the lowest labelled vertebra is S1"

# Position of each corner of CORNERS (superior left, superior right, inferior left, inferior right) in the files.
JSON_ORDER = (2, 3, 0, 1)  # the file holds BL, BR, TL, TR
TXT_ORDER = (0, 3, 1, 2)  # the file holds TL, BL, BR, TR
TXT_FIELDS = 17  # class, box centre and size, then x, y, visibility of four corners

_BUU_STEM = re.compile(r"^(\d+)-[FM]-\d{3}Y1")


class MendeleyReader:
    """Reads the layout described above."""

    kind = "mendeley"
    layout = "Train/Keypointrcnn_data/images/{train,val}/ and labels/{train,val}/"

    def recognises(self, root: Path) -> bool:
        """Whether the folder of labels exists."""
        return (root / "Train" / "Keypointrcnn_data" / "labels").is_dir()

    def read(self, root: Path) -> FilmSet:
        """All films of the three parts, unlabelled test films included."""
        data = root / "Train" / "Keypointrcnn_data"
        jobs: list[_Job] = []
        bad: list[Finding] = []
        for split in ("train", "val"):
            part, missing = _pair(data / "images" / split, data / "labels" / split, split)
            jobs += part
            bad += missing
        jobs += [_Job(image, None, "test") for image in images_in(root / "Test")]
        films, errors = read_each(jobs, _read_film)
        return FilmSet(
            kind=self.kind,
            name=root.name,
            films=tuple(film for film, _ in films),
            slots=SLOTS,
            bad_files=(*bad, *(as_finding(error) for error in errors)),
            notes=tuple(note for _, notes in films for note in notes),
        )


@dataclass(frozen=True)
class _Job:
    image: Path
    label: Path | None
    split: str


def _pair(images: Path, labels: Path, split: str) -> tuple[list[_Job], list[Finding]]:
    """Films with their labels, and every film or label that stands alone."""
    by_stem: dict[str, list[Path]] = {}
    for label in sorted([*labels.glob("*.json"), *labels.glob("*.txt")]) if labels.is_dir() else []:
        by_stem.setdefault(label.stem, []).append(label)
    jobs, bad = [], []
    for image in images_in(images):
        found = by_stem.pop(image.stem, [])
        if len(found) == 1:
            jobs.append(_Job(image, found[0], split))
        elif found:
            bad.append(Finding(image.name, f"two labels: {', '.join(p.name for p in found)}; keep one"))
        else:
            bad.append(Finding(image.name, f"no label {image.stem}.json or .txt in labels/{split}"))
    for paths in by_stem.values():
        suffixes = ", ".join(IMAGE_SUFFIXES)
        bad += [Finding(p.name, f"label without its film in images/{split} (looked for {suffixes})") for p in paths]
    return jobs, bad


def _read_film(job: _Job) -> tuple[Film, list[Finding]]:
    size_hw = image_size_hw(job.image)
    buu = _BUU_STEM.match(job.image.stem)
    notes: list[Finding] = []
    vertebrae: tuple[Vertebra, ...] | None = None
    if job.label:
        corners, visible = _read_json(job.label) if job.label.suffix == ".json" else _read_txt(job.label, size_hw)
        if not visible.any(axis=1).all():
            raise DataError(f"{job.label.name}: a vertebra has no visible corner")
        try:
            require_inside(corners, size_hw)
        except DataError as error:
            raise DataError(f"{job.label.name}: {error}") from None
        vertebrae, reasons = _from_sacrum(corners, visible)
        notes = [Finding(job.label.name, reason) for reason in reasons]
    film = Film(
        film_id=job.image.stem,
        image=FileImage(job.image),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=Facing.UNKNOWN,
        # Augmented exports of one film share the part of the name before the exporter's suffix.
        patient=f"buu-{buu.group(1)}" if buu else job.image.stem.split("_jpg.rf.")[0],
        source="buu" if buu else "honduras",
        split=job.split,
        levels_from=LEVELS_FROM,
        path=job.image,
        pixel_aspect=None if size_hw == EXPORT_HW else 1.0,
    )
    return film, notes


def _read_json(path: Path) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(V, 4, 2) px and visibility, corners reordered; vertebrae as in the file."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise DataError(f"{path.name}: not valid JSON (truncated, or another format)") from None
    keypoints = tree.get("keypoints") if isinstance(tree, dict) else None
    if not isinstance(keypoints, list) or not keypoints:
        raise DataError(f"{path.name}: 'keypoints' must list at least one vertebra")
    rows = []
    for index, vertebra in enumerate(keypoints):
        shaped = isinstance(vertebra, list) and [len(c) if isinstance(c, list) else 0 for c in vertebra] == [3] * 4
        if not shaped:
            raise DataError(f"{path.name}: vertebra {index} must hold 4 corners of x, y, visibility")
        rows.append(finite_numbers([v for corner in vertebra for v in corner], path.name, f"vertebra {index}"))
    return _ordered(rows, JSON_ORDER)


def _read_txt(path: Path, size_hw: tuple[int, int]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """As `_read_json`, from YOLO-pose lines in shares of width and height."""
    lines = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path.name}: empty label file")
    rows = []
    for number, fields in enumerate(lines, start=1):
        if len(fields) != TXT_FIELDS:
            raise DataError(f"{path.name}: line {number} has {len(fields)} fields, {TXT_FIELDS} are needed")
        rows.append(parse_floats(fields, path.name, f"line {number}")[5:])
    corners, visible = _ordered(rows, TXT_ORDER)
    return corners * np.array([size_hw[1], size_hw[0]]), visible


def _ordered(rows: list[list[float]], order: tuple[int, ...]) -> tuple[FloatArray, NDArray[np.bool_]]:
    table = np.array(rows).reshape(-1, 4, 3)[:, list(order)]
    corners, visible = table[..., :2].copy(), table[..., 2] > 0
    corners[~visible] = np.nan  # visibility 0 means that the corner was not labelled
    return corners, visible


def _from_sacrum(corners: FloatArray, visible: NDArray[np.bool_]) -> tuple[tuple[Vertebra, ...], list[str]]:
    """Vertebrae from the lowest up, and what had to be changed or set aside for it."""
    notes = []
    heights = np.nanmean(corners[..., 1], axis=1)
    order = np.argsort(-heights, kind="stable")
    if (np.diff(heights) < 0).any():
        notes.append("vertebrae not listed head to tail: reordered by height on the film")
    corners, visible = corners[order], visible[order]
    # A mirrored export keeps its corner names, so that all its outlines run the wrong way round.
    whole = ~np.isnan(corners).any(axis=(1, 2))
    if whole.any() and all(signed_area_px2(quad) < 0 for quad in corners[whole]):
        corners, visible = corners[:, list(MIRRORED_CORNERS)], visible[:, list(MIRRORED_CORNERS)]
        notes.append("left and right corners exchanged: the labels are those of a mirrored film")
    vertebrae, reasons = usable_vertebrae(corners, visible, SLOTS.first)
    return vertebrae, notes + reasons
