"""What the labelling tools' own programs look up in the files that are written for them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from builders import plain_film, square

from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.writers.dataset import write_dataset
from spondylo_ml.landmarks import CORNERS, SlotRange

FILMS = FilmSet("made", "made", (plain_film("a", (square(1, 10, 60, 20),)),), SlotRange(0, 10))


def test_cvat_annotations_say_which_labels_exist_as_the_file_of_labels_does(tmp_path: Path) -> None:
    write_dataset(FILMS, "cvat", tmp_path / "cvat")
    root = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").getroot()
    labels = {
        label.findtext("name"): (label.findtext("type"), label.findtext("parent"))
        for label in root.iterfind("meta/task/labels/label")
    }
    assert labels == {
        "vertebra": ("skeleton", None),
        "film": ("tag", None),
        **{corner: ("points", "vertebra") for corner in CORNERS},
    }
    used = {element.get("label") for image in root.iterfind("image") for element in image.iter()} - {None}
    assert used == set(labels)
    (level,) = root.iterfind("meta/task/labels/label[name='vertebra']/attributes/attribute")
    skeleton = json.loads((tmp_path / "cvat" / "cvat_labels.json").read_text())[0]
    assert (level.findtext("values") or "").split("\n") == skeleton["attributes"][0]["values"]
    assert (level.findtext("mutable"), level.findtext("input_type")) == ("False", "select")


def test_label_studio_knows_the_order_of_the_corners(tmp_path: Path) -> None:
    write_dataset(FILMS, "label-studio", tmp_path / "studio")
    root = ElementTree.parse(tmp_path / "studio" / "label_studio_config.xml").getroot()
    order = {label.get("value"): label.get("model_index") for label in root.iterfind("KeyPointLabels/Label")}
    assert order == {corner: str(index) for index, corner in enumerate(CORNERS)}
