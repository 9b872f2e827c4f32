"""Helpers for the tests of readers: a valid folder of each layout, and a folder of one film with a given label."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from builders import ap_corners, mendeley_folder, spineweb_folder, write_image, write_label, write_rows

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.landmarks import CORNERS, LEVELS, Film, FloatArray

SIZE_HW = (400, 200)
TOOLS = ("label-studio", "cvat", "labelme", "slicer")
LABELLED = ("mendeley", "spineweb16", "buu", "coco", "yolo", *TOOLS)
KINDS = (*LABELLED, "folder")
PRIVATE = ("coco", "yolo", "folder", *TOOLS)


def corners_of(film: Film) -> FloatArray:
    assert film.vertebrae is not None
    return np.stack([v.corners_xy for v in film.vertebrae])


def few_above(folder: Path) -> Path:
    """A new folder four levels down: readers search the folders above a dataset, and those of tests hold hundreds."""
    root = folder / "of" / "few" / "folders" / "films"
    root.mkdir(parents=True)
    return root


def sound_folder(kind: str, root: Path) -> Path:
    """A valid dataset of at least three films."""
    if kind == "mendeley":
        return mendeley_folder(root)
    if kind == "spineweb16":
        return spineweb_folder(root, patients=("a", "a", "b"))
    films = whole_films(3)
    if kind == "folder":
        root.mkdir()
        for film in films.films:
            write_film(root / f"{film.film_id}.png", film.image.read())
        return root
    return write_dataset(films, kind, root).folder


def whole_films(count: int, long_side_px: int = 96) -> FilmSet:
    """Synthetic films that every layout can hold: S1 to L1 at least, and not stretched."""
    films = phantom_films(8 * count, 7, long_side_px, ("export",))
    selected = [film for film in films.films if len(film.vertebrae or ()) >= 6]
    return replace(films, films=tuple(selected[:count]))


def write_film(path: Path, pixels: FloatArray | np.ndarray | None = None) -> Path:
    """Write an image file, with noise of `SIZE_HW` by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, SIZE_HW, dtype=np.uint8)
    _, data = cv2.imencode(path.suffix.lower(), noise if pixels is None else np.asarray(pixels))
    path.write_bytes(data.tobytes())
    return path


def images_of(root: Path) -> list[Path]:
    """All image files of a folder, those of unlabelled test films last."""
    return sorted((p for p in root.rglob("*") if p.suffix in (".png", ".jpg")), key=lambda p: ("Test" in p.parts, p))


def boxes(count: int = 6) -> list[list[list[object]]]:
    """(V, 4, 2) upright bodies from the sacrum up, in px of `SIZE_HW`."""
    if count == 17:
        return [quad.tolist() for quad in ap_corners(SIZE_HW)[::-1]]
    tops = [330.0 - 60 * i for i in range(count)]
    return [[[80.0, y], [120.0, y], [80.0, y + 40], [120.0, y + 40]] for y in tops]


def count_of(kind: str) -> int:
    return 17 if kind == "spineweb16" else 6


Corners = list[list[list[object]]]


def one_film(kind: str, root: Path, change: Callable[[Corners], object] = lambda corners: None) -> Path:
    """A dataset of one film, stem `one`, whose corners were changed before they were written."""
    corners = boxes(count_of(kind))
    change(corners)
    _WRITE[kind](root, corners)
    return root


def as_text(value: object, scale: float = 1.0) -> str:
    return repr(value / scale) if isinstance(value, float) else str(value)


def _write_mendeley(root: Path, corners: Corners) -> None:
    write_image(root, "train", "one", np.zeros(SIZE_HW, dtype=np.uint8))
    keypoints = [[[*quad[i], 1] for i in (2, 3, 0, 1)] for quad in reversed(corners)]
    write_label(root, "train", "one.json", {"keypoints": keypoints})


def _write_spineweb16(root: Path, corners: Corners) -> None:
    write_film(root / "images" / "one.png")
    points = [point for quad in reversed(corners) for point in quad]
    height, width = SIZE_HW
    row = [*(as_text(x, width) for x, _ in points), *(as_text(y, height) for _, y in points)]
    write_rows(root / "filenames.csv", [["one.png"]])
    write_rows(root / "landmarks.csv", [row])
    write_rows(root / "films.csv", [["filename", "patient"], ["one.png", "a"]])


def _write_buu(root: Path, corners: Corners) -> None:
    write_film(root / "LA" / "one.png")
    endplates = [pair for quad in reversed(corners) for pair in (quad[:2], quad[2:])][:11]
    write_rows(root / "LA" / "one.csv", [[*(as_text(v) for point in pair for v in point), 0] for pair in endplates])


def _write_yolo(root: Path, corners: Corners) -> None:
    write_film(root / "images" / "train" / "one.png")
    height, width = SIZE_HW
    lines = []
    for quad in reversed(corners):
        points = [f"{as_text(x, width)} {as_text(y, height)} 2" for x, y in quad]
        lines.append(" ".join(["0 .5 .5 .1 .1", *points]))
    label = root / "labels" / "train" / "one.txt"
    label.parent.mkdir(parents=True)
    label.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_coco(root: Path, corners: Corners) -> None:
    write_film(root / "images" / "one.png")
    (root / "annotations.json").write_text(json.dumps(coco_tree(corners)), encoding="utf-8")


def coco_tree(corners: Corners) -> dict[str, list[dict[str, object]]]:
    """Annotations of one film."""
    return {
        "images": [{"id": 1, "file_name": "one.png", "height": SIZE_HW[0], "width": SIZE_HW[1]}],
        "categories": [{"id": 1, "name": "vertebra", "keypoints": list(CORNERS)}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "keypoints": [v for point in quad for v in (*point, 2)]}
            for i, quad in enumerate(reversed(corners))
        ],
    }


def _write_label_studio(root: Path, corners: Corners) -> None:
    write_film(root / "images" / "one.png")
    (root / "export.json").write_text(json.dumps([label_studio_task(corners)]), encoding="utf-8")


def label_studio_task(corners: Corners) -> dict[str, object]:
    """A task of one film as Label Studio exports it: keypoints joined to boxes that name no level."""
    size = {"original_width": SIZE_HW[1], "original_height": SIZE_HW[0], "image_rotation": 0, "to_name": "image"}
    results: list[dict[str, object]] = []
    for number, quad in enumerate(reversed(corners)):
        box = {"x": 40, "y": 10, "width": 20, "height": 10, "rotation": 0, "rectanglelabels": ["vertebra"]}
        common = {**size, "origin": "manual"}
        results.append({**common, "id": f"box{number}", "type": "rectanglelabels", "from_name": "box", "value": box})
        for name, (x, y) in zip(CORNERS, quad, strict=True):
            point = {"x": percent(x, SIZE_HW[1]), "y": percent(y, SIZE_HW[0]), "width": 0.3, "keypointlabels": [name]}
            where = {"id": f"{number}{name}", "parentID": f"box{number}", "from_name": "kp", "type": "keypointlabels"}
            results.append({**common, **where, "value": point})
    annotation = {"id": 7, "completed_by": 1, "result": results, "was_cancelled": False, "lead_time": 41.5}
    data = {"image": "/data/upload/3/0a1b2c3d-one.png"}
    return {"id": 12, "annotations": [annotation], "predictions": [], "data": data, "project": 3}


def _write_cvat(root: Path, corners: Corners) -> None:
    write_film(root / "images" / "one.png")
    skeletons = "".join(
        '<skeleton label="vertebra" source="manual" z_order="0">'
        + "".join(
            f'<points label="{name}" outside="0" occluded="0" points="{as_text(x)},{as_text(y)}"></points>'
            for name, (x, y) in zip(CORNERS, quad, strict=True)
        )
        + "</skeleton>"
        for quad in reversed(corners)
    )
    write_cvat_file(root, skeletons)


def write_cvat_file(root: Path, shapes: str, meta: str = "", image: str = "") -> None:
    """CVAT's file with the shapes of one film."""
    (root / "annotations.xml").write_text(
        f'''<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>5</id><name>lumbar</name><mode>annotation</mode>{meta}</task><dumped>2024-01-01</dumped></meta>
  <image id="0" name="one.png" width="{SIZE_HW[1]}" height="{SIZE_HW[0]}"{image}>{shapes}</image>
</annotations>
''',
        encoding="utf-8",
    )


def _write_labelme(root: Path, corners: Corners) -> None:
    write_film(root / "images" / "one.png")
    points = [
        labelme_shape(name, [xy], group_id=number)
        for number, quad in enumerate(reversed(corners))
        for name, xy in zip(CORNERS, quad, strict=True)
    ]
    write_labelme_file(root, points)


def labelme_shape(label: str, points: object, shape_type: str = "point", **more: object) -> dict[str, object]:
    """A shape as LabelMe writes it."""
    common = {"group_id": None, "description": "", "shape_type": shape_type, "flags": {}, "mask": None}
    return {"label": label, "points": points, **common, **more}


def write_labelme_file(root: Path, shapes: list[dict[str, object]], **more: object) -> None:
    """LabelMe's file of one film."""
    size = {"imageHeight": SIZE_HW[0], "imageWidth": SIZE_HW[1]}
    tree = {
        "version": "5.4.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": "one.png",
        "imageData": None,
        **size,
        **more,
    }
    (root / "images" / "one.json").write_text(json.dumps(tree), encoding="utf-8")


def _write_slicer(root: Path, corners: Corners) -> None:
    write_film(root / "images" / "one.png")
    levels = LEVELS[len(corners) - 1 :: -1]
    rows = [
        f"vtkMRMLMarkupsFiducialNode_{i},{as_text(x)},{as_text(y)},0,0,0,0,1,1,1,0,{level}_{name},,"
        for i, (level, quad) in enumerate(zip(levels, reversed(corners), strict=True))
        for name, (x, y) in zip(CORNERS, quad, strict=True)
    ]
    write_fcsv_file(root, rows)


def write_fcsv_file(root: Path, rows: list[str], system: str = "LPS") -> None:
    """3D Slicer's older file of one film."""
    columns = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
    header = ["# Markups fiducial file version = 4.11", f"# CoordinateSystem = {system}", f"# columns = {columns}"]
    (root / "images" / "one.fcsv").write_text("\n".join([*header, *rows]) + "\n", encoding="utf-8")


def percent(value: object, side_px: int) -> object:
    return value / side_px * 100 if isinstance(value, float) else value


_WRITE: dict[str, Callable[[Path, Corners], None]] = {
    "mendeley": _write_mendeley,
    "spineweb16": _write_spineweb16,
    "buu": _write_buu,
    "coco": _write_coco,
    "yolo": _write_yolo,
    "label-studio": _write_label_studio,
    "cvat": _write_cvat,
    "labelme": _write_labelme,
    "slicer": _write_slicer,
}


def reasons(films: FilmSet) -> list[str]:
    """Why files are bad, details included."""
    return [finding.reason + finding.detail for finding in films.bad_files]
