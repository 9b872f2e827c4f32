"""3D Slicer's Markups: both files, both systems, and what a pixel measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import dicom
from PIL import Image
from reading import SIZE_HW, boxes, corners_of, one_film, reasons, write_film

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.readers.tools.slicer_spacing import slicer_mm_per_px
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.errors import FileError
from spondylo_ml.landmarks import CORNERS, LEVELS


def node(scale: float = 1.0, sign: float = 1.0, **more: object) -> dict[str, Any]:
    """A list of points that name level and corner."""
    points = [
        {
            "id": "1",
            "label": f"{level}_{name}",
            "description": "",
            "position": [sign * x * scale, sign * y * scale, 0.0],
            "positionStatus": "defined",
        }
        for level, quad in zip(LEVELS, boxes(), strict=False)
        for name, (x, y) in zip(CORNERS, quad, strict=True)
    ]
    system = "LPS" if sign > 0 else "RAS"
    return {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": "mm", "controlPoints": points, **more}


def read(root: Path, *nodes: dict[str, Any]) -> FilmSet:
    (root / "images").mkdir(exist_ok=True)
    if not list((root / "images").glob("one.*")):
        write_film(root / "images" / "one.png")
    (root / "images" / "one.mrk.json").write_text(json.dumps({"@schema": "v1.0.3#", "markups": nodes}))
    return read_folder(root)


def assert_boxes(films: FilmSet) -> None:
    assert reasons(films) == []
    (film,) = films.films
    np.testing.assert_allclose(corners_of(film), np.array(boxes(), dtype=float), atol=1e-9)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_lps_and_ras(tmp_path: Path, sign: float) -> None:
    assert_boxes(read(tmp_path, node(sign=sign)))


@pytest.mark.parametrize("system", ["RAS", "0"])
def test_an_fcsv_file_in_ras(tmp_path: Path, system: str) -> None:
    path = one_film("slicer", tmp_path) / "images" / "one.fcsv"
    lines = []
    for line in path.read_text().replace("= LPS", f"= {system}").splitlines():
        cells = line.split(",")
        if not line.startswith("#"):
            cells[1:3] = [f"-{cells[1]}", f"-{cells[2]}"]
        lines.append(",".join(cells))
    path.write_text("\n".join(lines))
    assert_boxes(read_folder(tmp_path))


def test_undefined_points_are_absent_and_described_ones_hidden(tmp_path: Path) -> None:
    one = node()
    one["controlPoints"][2] |= {"position": "", "positionStatus": "undefined"}
    one["controlPoints"][1]["description"] = "hidden"
    one["controlPoints"][4]["positionStatus"] = "missing"
    one["controlPoints"].append({"label": "F-1", "position": [0, 0, 0], "positionStatus": "preview"})
    films = read(tmp_path, one)
    sacrum, l5 = (films.films[0].vertebrae or ())[:2]
    np.testing.assert_array_equal(sacrum.present, [True, True, False, True])
    np.testing.assert_array_equal(sacrum.visible, [True, False, False, True])
    np.testing.assert_array_equal(l5.present, [False, True, True, True])
    assert [note.reason for note in films.notes] == ["1 point(s) were about to be placed (preview): skipped"]


def test_the_status_of_a_position_in_an_fcsv_file(tmp_path: Path) -> None:
    path = one_film("slicer", tmp_path) / "images" / "one.fcsv"
    *header, first, second, third = path.read_text().splitlines()
    rows = [f"{row},2,0" for row in header[3:]]
    never = ["1,0,0,0,0,0,0,1,1,1,0,L3_superior_left,,,0,0", "1,0,0,0,0,0,0,1,1,1,0,L3_superior_right,,,3,0"]
    preview = "1,5,5,0,0,0,0,1,1,1,0,F-1,,,1,0"
    rows = [never[0] if ",L3_superior_left," in r else never[1] if ",L3_superior_right," in r else r for r in rows]
    path.write_text("\n".join([*header[:3], *rows, f"{first},2,0", f"{second},2", third, preview]))
    films = read_folder(tmp_path)
    assert reasons(films) == []
    levels = {v.level: v for v in films.films[0].vertebrae or ()}
    np.testing.assert_array_equal(levels["L3"].present, [False, False, True, True])
    expected = np.array(boxes(), dtype=float)
    expected[3, :2] = np.nan
    np.testing.assert_array_equal(corners_of(films.films[0]), expected)
    assert [note.reason for note in films.notes] == ["1 point(s) were about to be placed (preview): skipped"]


@pytest.mark.parametrize("surplus", [",4,0", ",2,0,0", ",", ",defined", ",2,x"])
def test_other_surplus_cells_of_an_fcsv_file_are_refused(surplus: str, tmp_path: Path) -> None:
    path = one_film("slicer", tmp_path) / "images" / "one.fcsv"
    path.write_text(path.read_text().rstrip() + surplus)
    (why,) = reasons(read_folder(tmp_path))
    assert "a row has more cells than the line of columns" in why


def test_closed_curves_are_named_after_their_level(tmp_path: Path) -> None:
    curves = [
        {
            "type": "ClosedCurve",
            "name": level,
            "coordinateSystem": "LPS",
            "controlPoints": [{"position": [*quad[i], 0]} for i in (3, 2, 0, 1)],
        }
        for level, quad in zip(LEVELS, boxes(), strict=False)
    ]
    films = read(tmp_path, *curves)
    assert_boxes(films)
    assert [note.reason for note in films.notes] == [
        "6 of 6 vertebrae have corners without names: told apart by their position"
    ]


def test_the_resolution_of_jpeg_and_tiff_files_is_the_spacing(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros(SIZE_HW, np.uint8))
    for name, dpi, mm in (
        ("a.jpg", (254, 127), (0.1, 0.2)),
        ("b.tif", (254, 127), (0.1, 0.2)),
        ("c.png", (72, 72), (1, 1)),
    ):
        image.save(tmp_path / name, dpi=dpi)
        assert slicer_mm_per_px(tmp_path / name) == pytest.approx(mm)
    image.save(tmp_path / "plain.jpg")
    assert slicer_mm_per_px(tmp_path / "plain.jpg") == (1.0, 1.0)
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    with pytest.raises(FileError, match="has an EXIF orientation, which 3D Slicer ignores"):
        slicer_mm_per_px(tmp_path / "turned.jpg")


def test_the_spacing_of_a_dicom_film(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / "one.dcm"
    pixels = np.random.default_rng(0).integers(0, 255, SIZE_HW, dtype=np.uint8)
    path.write_bytes(dicom(pixels, 8, PixelSpacing=[0.5, 0.5]))
    assert_boxes(read(tmp_path, node(scale=0.5)))
    path.write_bytes(dicom(pixels, 8, PixelSpacing=[0.5, 0.5], ImagerPixelSpacing=[0.6, 0.6]))
    (why,) = reasons(read_folder(tmp_path))
    assert "PixelSpacing and ImagerPixelSpacing differ, and 3D Slicer used one: state mm_per_px in mapping.yaml" in why
    (tmp_path / "mapping.yaml").write_text("mm_per_px: 0.5\n")
    assert_boxes(read_folder(tmp_path))


def test_a_jpeg_film_with_a_resolution_is_written_where_slicer_shows_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, SIZE_HW, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "one.jpg", dpi=(254, 254))
    films = read(tmp_path, node(scale=0.1))
    assert_boxes(films)
    written = write_dataset(films, "slicer", tmp_path / "again")
    assert written.losses == ()
    (path,) = (tmp_path / "again").rglob("*.mrk.json")
    first = json.loads(path.read_text())["markups"][0]["controlPoints"][0]
    assert first["position"] == pytest.approx([8.0, 33.0, 0.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.update(coordinateSystem="IJK"), "coordinateSystem must be LPS or RAS, found 'IJK'"),
        (lambda n: n.update(coordinateUnits="um"), "coordinateUnits must be mm"),
        (lambda n: n["controlPoints"][0].update(position=[1, 2, 30]), "does not lie in the plane of the film"),
        (lambda n: n["controlPoints"][0].update(position=[1, 2]), "the position of a point must be [x, y, z]"),
        (
            lambda n: n["controlPoints"][0].update(positionStatus="placed"),
            "positionStatus must be one of undefined, preview, defined, missing, found 'placed'",
        ),
        (lambda n: n["controlPoints"][0].update(label="F-1"), "1 name(s) of points or bodies are not understood"),
        (lambda n: n.update(coordinateSystem="RAS"), "lies far outside the film"),
        (lambda n: n.update(controlPoints=[]), "no label: nothing is drawn"),
        (lambda n: n.pop("controlPoints"), "controlPoints must be a list"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, change: Any, message: str) -> None:
    one = node()
    change(one)
    (why,) = reasons(read(tmp_path, one))
    assert message in why
