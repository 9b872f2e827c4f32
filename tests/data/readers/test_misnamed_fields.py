"""Fields whose names are nearly right are not read, and that is said as a doubt."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from spondylo_ml.data.readers import read_folder
from spondylo_ml.data.readers.remarks import misnamed_remarks

KNOWN = ["patient", "pixel_spacing_mm", "age_years", "facing"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["patient_id"], ["patient"]),
        (["Facing", "pixel_spacing"], ["pixel_spacing_mm", "facing"]),
        (["age"], ["age_years"]),
        (["patient", "patient_name"], []),
        (["id", "file_name", "license", "date_captured", "2"], []),
        (KNOWN, []),
    ],
)
def test_names_that_begin_alike_are_doubts_unless_the_field_is_there(given: list[str], meant: list[str]) -> None:
    remarks = misnamed_remarks(given, KNOWN)
    assert [remark.reason for remark in remarks] == [
        f"a field with a name like {name!r} is not read: call it {name}" for name in meant
    ]
    assert all(remark.doubt for remark in remarks)


def test_coco_with_a_patient_id_and_levels_under_another_name_is_in_doubt(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((400, 300), dtype=np.uint8))
    corners = ["superior_left", "superior_right", "inferior_left", "inferior_right"]
    annotations = [
        {
            "id": number, "image_id": 1, "category_id": 1, "attributes": {"Level": level},
            "keypoints": [80, y, 2, 140, y, 2, 80, y + 40, 2, 140, y + 40, 2],
        }
        for number, (level, y) in enumerate([("L5", 320), ("L4", 260)])
    ]  # fmt: skip
    tree = {
        "images": [{"id": 1, "file_name": "a.png", "patient_id": 7}],
        "categories": [{"id": 1, "name": "vertebra", "keypoints": corners}],
        "annotations": annotations,
    }
    (tmp_path / "annotations.json").write_text(json.dumps(tree), encoding="utf-8")
    films = read_folder(tmp_path)
    doubts = [note.reason for note in films.notes if note.doubt]
    assert "a field with a name like 'patient' is not read: call it patient" in doubts
    assert "a field with a name like 'level' is not read: call it level" in doubts
