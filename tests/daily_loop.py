"""The work of a day, simulated: synthetic films as DICOM files, and a person who corrects drafts in CVAT."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from dicoms import dataset, file_bytes
from pydicom.uid import generate_uid

from spondylo_ml.data.pseudonyms import pseudonym
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.landmarks import CORNERS, Film, FloatArray, Vertebra

ADDITIONS = ("sacrum", "surroundings", "cortex")
"""Parts of the films that the starter model was trained on."""

PATIENT = "WALKER^ANNE"


def lumbar_films(count: int, seed: int) -> Sequence[Film]:
    """Synthetic films that the starter model has not seen, with their true corners."""
    return phantom_films(count, seed, 384, (), "even", ADDITIONS).films


def write_studies(films: Sequence[Film], folder: Path, first: int = 0) -> dict[str, Film]:
    """Write a DICOM file for each film, of a patient of its own; the films by their pseudonyms."""
    folder.mkdir()
    by_name = {}
    for number, film in enumerate(films, start=first):
        study = dataset(film.image.read().astype(np.uint16) * 16, PixelSpacing=[0.4, 0.4], BurnedInAnnotation="NO")
        study.PatientName, study.PatientID = f"{PATIENT} {number}", f"ID-{number}"
        study.PatientBirthDate, study.PatientSex, study.StudyDate, study.StudyTime = "19500102", "F", "20200131", "1015"
        study.StudyID, study.AccessionNumber, study.ReferringPhysicianName = str(number), str(number), "DOE^JOHN"
        study.StudyInstanceUID, study.SeriesInstanceUID = generate_uid(), generate_uid()
        path = folder / f"walker-anne-{number:02d}.dcm"
        path.write_bytes(file_bytes(study))
        by_name[pseudonym(path.stem)] = film
    return by_name


def correct_in_cvat(annotations: Path, truth: Mapping[str, Film], reader: str) -> None:
    """Correct the drafts of a CVAT file as a person does: each body becomes the true one on which it lies.

    Corners are moved, levels renamed, bodies on nothing removed and missed ones added; then the reader signs the film.

    Args:
        truth: films by the names of their pictures.
    """
    tree = ElementTree.parse(annotations)
    for image in tree.getroot().iter("image"):
        left = list(truth[Path(image.attrib["name"]).stem].vertebrae or ())
        for skeleton in image.findall("skeleton"):
            body = _lies_on(_corners(skeleton), left)
            if body is None:
                image.remove(skeleton)
            else:
                left.remove(body)
                _redraw(skeleton, body)
        for body in left:
            image.insert(
                0, _redraw(Element("skeleton", {"label": "vertebra", "source": "manual", "z_order": "0"}), body)
            )
        for attribute in image.findall("tag/attribute"):
            if attribute.attrib["name"] == "reader":
                attribute.text = reader
    tree.write(annotations, encoding="utf-8", xml_declaration=True)


def _corners(skeleton: Element) -> FloatArray:
    """(n, 2) corners that are not outside the film."""
    points = [p.attrib["points"].split(",") for p in skeleton.iter("points") if p.attrib["outside"] == "0"]
    return np.array(points, dtype=np.float64)


def _lies_on(corners: FloatArray, bodies: Sequence[Vertebra]) -> Vertebra | None:
    """The body whose centre is less than half its width from that of the corners."""
    for body in bodies:
        apart = np.linalg.norm(np.nanmean(body.corners_xy, axis=0) - corners.mean(axis=0))
        if apart < np.linalg.norm(body.corners_xy[1] - body.corners_xy[0]) / 2:
            return body
    return None


def _redraw(skeleton: Element, body: Vertebra) -> Element:
    """Give a skeleton the corners, to the .01 px that CVAT keeps, and the level of a body."""
    skeleton.clear()
    skeleton.attrib.update({"label": "vertebra", "source": "manual", "z_order": "0"})
    for corner, (x, y) in zip(CORNERS, body.corners_xy, strict=True):
        outside = "1" if np.isnan(x) else "0"
        where = "0.00,0.00" if np.isnan(x) else f"{x:.2f},{y:.2f}"
        marks = {"label": corner, "source": "manual", "outside": outside, "occluded": "0", "points": where}
        SubElement(skeleton, "points", marks)
    SubElement(skeleton, "attribute", {"name": "level"}).text = body.level
    return skeleton
