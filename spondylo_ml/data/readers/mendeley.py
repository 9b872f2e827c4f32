"""Spondylolisthesis Vertebral Landmark Dataset (Mendeley Data, doi 10.17632/5jdfdgp762.1): lateral films.

Layout: `Train/Keypointrcnn_data/images/{train,val}/<stem>.jpg` with `labels/{train,val}/<stem>.json` or `.txt`, and
`Test/` with films that have no labels. Two label formats lie in one folder, each with its own order of corners:
JSON has BL, BR, TL, TR in px; TXT (YOLO-pose) has TL, BL, BR, TR as fractions of width and height.

Levels are not named. The lowest labelled vertebra is assumed to be S1, which it nearly always is; `levels_from` records
this. Facing is not labelled either.

Some films are mirrored exports whose corners kept their names. If all corners of a label fit with left and right
exchanged, they are exchanged, with a remark.

Films of 640 x 640 px are exports, each stretched to that size by an unknown amount. A `films.csv` (see `films_csv`)
beside `Train/` may state the pixel aspect, patient, facing and spacing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondylo_ml.data.film_pixels import checked_size_hw
from spondylo_ml.data.films import FileFinding, FileImage, FilmSet
from spondylo_ml.data.levels_from import LOWEST_IS_S1
from spondylo_ml.data.names import stem_of
from spondylo_ml.data.readers.base import ReadFilm, as_finding, make_film_set, read_each
from spondylo_ml.data.readers.bodies import Visible, require_all_inside, vertebrae_along_spine
from spondylo_ml.data.readers.buu_name import buu_name
from spondylo_ml.data.readers.fields import finite_numbers, read_json, require_classes, require_visibility
from spondylo_ml.data.readers.film_row import FilmRow, with_row
from spondylo_ml.data.readers.films_csv import read_films_csv
from spondylo_ml.data.readers.pairing import duplicate_stems, files_in, group_by_stem, images_in, pair_by_stem
from spondylo_ml.data.readers.parts import folders_by_part, unread_subfolders
from spondylo_ml.data.readers.pose_lines import read_pose_lines
from spondylo_ml.data.readers.remarks import Remark, as_findings
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import Facing, Film, FloatArray, SlotRange, Vertebra

SLOTS = SlotRange(first=0, count=10)
EXPORT_HW = (640, 640)

# Index in the files of each corner of CORNERS (superior left, superior right, inferior left, inferior right).
JSON_ORDER = (2, 3, 0, 1)  # the file has BL, BR, TL, TR
TXT_ORDER = (0, 3, 1, 2)  # the file has TL, BL, BR, TR
LABELS = (".json", ".txt")


class MendeleyReader:
    """Reads the layout described above."""

    kind = "mendeley"
    layout = "Train/Keypointrcnn_data/images/{train,val}/ and labels/{train,val}/"
    marks: tuple[str, ...] = ("Train/Keypointrcnn_data/labels", "Train/Keypointrcnn_data/images")

    def recognises(self, root: Path) -> bool:
        """Whether the folder of labels exists."""
        return (root / "Train" / "Keypointrcnn_data" / "labels").is_dir()

    def read(self, root: Path) -> FilmSet:
        """All films of the three splits, including unlabelled test films."""
        data, table = root / "Train" / "Keypointrcnn_data", read_films_csv(root)
        jobs: list[_Job] = []
        bad: list[FileFinding] = []
        folders, unknown = folders_by_part(data / "images", data / "labels")
        for images, labels, split in folders:
            pairs, unpaired = pair_by_stem(images, labels, LABELS, data)
            jobs += [_Job(image, label, split) for image, label in pairs]
            bad += [*unpaired, *unread_subfolders(images), *unread_subfolders(labels, LABELS)]
        bad += [*unknown, *_loose(data, root)]
        for films in group_by_stem(images_in(root / "Test")).values():
            if len(films) == 1:
                jobs.append(_Job(films[0], None, "test"))
            else:
                bad += duplicate_stems(films)
        read, errors = read_each(jobs, lambda job: _read_film(job, table.of(job.image.name)))
        notes = table.remarks([job.image for job in jobs], (Path(finding.file).stem for finding in bad))
        return make_film_set(self.kind, root, read, SLOTS, [*bad, *map(as_finding, errors)], notes)


@dataclass(frozen=True)
class _Job:
    image: Path
    label: Path | None
    split: str


def _read_film(job: _Job, row: FilmRow) -> ReadFilm:
    size_hw = checked_size_hw(job.image)
    buu = buu_name(job.image.stem)
    notes: tuple[FileFinding, ...] = ()
    vertebrae: tuple[Vertebra, ...] | None = None
    if job.label:
        is_json = job.label.suffix.lower() == ".json"
        corners, visible, box_remarks = _read_json(job.label) if is_json else (*_read_txt(job.label, size_hw), ())
        require_all_inside(corners, size_hw, job.label.name)
        vertebrae, remarks = vertebrae_along_spine(
            corners, visible, SLOTS.first, job.label.name, JSON_ORDER if is_json else TXT_ORDER, mirrored_exports=True
        )
        notes = as_findings(job.label.name, (*box_remarks, *remarks))
    film = Film(
        film_id=stem_of(job.image),
        image=FileImage(job.image, job.image.name),
        size_hw=size_hw,
        vertebrae=vertebrae,
        facing=Facing.UNKNOWN,
        # Augmented exports of a film have the same name up to the exporter's suffix.
        patient=buu.patient if buu else stem_of(job.image).split("_jpg.rf.")[0],
        source="buu" if buu else "honduras",
        split=job.split,
        levels_from=LOWEST_IS_S1,
        path=job.image,
        pixel_aspect=None if size_hw == EXPORT_HW else 1.0,
        sex=buu.sex if buu else "",
        age_years=buu.age_years if buu else None,
    )
    return ReadFilm(with_row(film, row), notes)


def _loose(data: Path, root: Path) -> list[FileFinding]:
    """Findings on films and labels outside the folders of the splits, which would otherwise go unnoticed."""
    contents = [(data / "images", images_in(data / "images")), (data / "labels", files_in(data / "labels", LABELS))]
    loose = [
        FileFinding(path.name, f"is directly in {folder.name}/ and not read: move it into a part, such as train/")
        for folder, paths in contents
        for path in paths
    ]
    return loose + unread_subfolders(root / "Test")


def _read_json(path: Path) -> tuple[FloatArray, Visible, tuple[Remark, ...]]:
    """Read a JSON label.

    Returns:
        (V, 4, 2) px and (V, 4) visibility, with corners in the order of `CORNERS` and vertebrae in the order of the
        file; and remarks on its boxes and classes.
    """
    tree = read_json(path)
    fields = tree if isinstance(tree, dict) else {}
    keypoints = fields.get("keypoints")
    if not isinstance(keypoints, list) or not keypoints:
        raise FileError(path.name, "'keypoints' must list at least one vertebra")
    rows = []
    for index, vertebra in enumerate(keypoints):
        valid = isinstance(vertebra, list) and [len(c) if isinstance(c, list) else 0 for c in vertebra] == [3] * 4
        if not valid:
            raise FileError(path.name, f"vertebra {index} must hold 4 corners of x, y, visibility")
        rows.append(finite_numbers([v for corner in vertebra for v in corner], path.name, f"vertebra {index}"))
        require_visibility([corner[2] for corner in vertebra], path.name, f"vertebra {index}")
    remarks = _check_boxes(fields, len(rows), path.name)
    return *_ordered(np.array(rows).reshape(-1, 4, 3), JSON_ORDER), remarks


def _check_boxes(tree: dict[str, object], count: int, file: str) -> tuple[Remark, ...]:
    """Validate boxes and classes, which are not used. A count that differs from the vertebrae's gives a remark."""
    boxes, labels = (tree.get(name, []) for name in ("boxes", "labels"))
    if not isinstance(boxes, list) or not isinstance(labels, list):
        raise FileError(file, "'boxes' and 'labels' must be lists, as 'keypoints' is")
    for index, box in enumerate(boxes):
        if not isinstance(box, list) or len(box) != 4:
            raise FileError(file, f"box {index} must be x1, y1, x2, y2")
        left, top, right, bottom = finite_numbers(box, file, f"box {index}")
        if right < left or bottom < top:
            raise FileError(file, f"box {index} must be x1, y1, x2, y2, with the smaller values first")
    classes = finite_numbers(labels, file, "'labels'")
    require_classes(classes, file, "'labels'")
    _require_one_class(classes, file)
    counts = {"boxes": len(boxes), "labels": len(labels)}
    differing = [f"{number} {name}" for name, number in counts.items() if number not in (0, count)]
    if not differing:
        return ()
    message = f"{count} vertebrae, but {' and '.join(differing)}: a vertebra too many, or one missed"
    return (Remark(message, doubt=True),)


def _require_one_class(classes: Iterable[float], file: str) -> None:
    """Raise `FileError` for several classes, which would mean levels; this layout has none."""
    if len(set(classes)) > 1:
        raise FileError(file, "vertebrae of several classes: this layout names no levels and has one class")


def _read_txt(path: Path, size_hw: tuple[int, int]) -> tuple[FloatArray, Visible]:
    """Read a TXT label: YOLO-pose lines in fractions of width and height. Returns as `_read_json`, without remarks."""
    lines = read_pose_lines(path)
    _require_one_class(lines.classes, path.name)
    corners, visible = _ordered(lines.points, TXT_ORDER)
    return corners * np.array([size_hw[1], size_hw[0]]), visible


def _ordered(points: FloatArray, order: tuple[int, ...]) -> tuple[FloatArray, Visible]:
    table = points[:, list(order)]
    corners, visible = table[..., :2].copy(), table[..., 2] > 0
    corners[~visible] = np.nan  # visibility 0 means not labelled
    return corners, visible
