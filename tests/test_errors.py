"""Messages for unknown names."""

from __future__ import annotations

import pytest

from spondylo_ml.cli.commands import COMMANDS
from spondylo_ml.config import field_names
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.errors import first_line, nearest_hint, nearest_names, unknown_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("UNET", "unet"),
        ("U-Net", "unet"),
        ("unett", "unet"),
        ("HRNet", "hrnet_w32"),
        ("hrnet", "hrnet_w32"),
        ("HRNet-W32", "hrnet_w32"),
        ("ResNet", "resnet50"),
        ("ResNet-50", "resnet50"),
        ("MAHT-Net", "maht_net"),
        ("mahtnet", "maht_net"),
        ("Keypoint RCNN", "keypoint_rcnn"),
        ("RCNN", "keypoint_rcnn"),
    ],
)
def test_case_hyphens_and_parts_of_a_name_are_matched(text: str, expected: str) -> None:
    assert nearest_hint(text, MODEL_NAMES) == f" Did you mean {expected!r}?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr", "training.learning_rate"),
        ("learning_rate", "training.learning_rate"),
        ("Training.Learning-Rate", "training.learning_rate"),
        ("epoch", "training.epochs"),
        ("batchsize", "training.batch_size"),
        ("device", "training.device"),
        ("sead", "seed"),
    ],
)
def test_a_dotted_name_is_matched_by_its_last_part_and_by_its_initials(text: str, expected: str) -> None:
    assert nearest_names(text, field_names(COMMANDS["train"].flags), 3)[0] == expected


def test_a_name_without_a_similar_one_gets_no_hint() -> None:
    assert nearest_hint("xyz", MODEL_NAMES) == ""


def test_a_few_names_are_all_listed_and_of_many_the_three_nearest() -> None:
    assert unknown_name("fruit", "Aple", ["pear", "apple"]) == (
        "unknown fruit 'Aple'. Did you mean 'apple'? Allowed: apple, pear."
    )
    many = [f"metric_{i:03d}" for i in range(100)] + ["mre_px512", "mre_px", "mre_mm"]
    assert unknown_name("metric", "MRE_px", many) == (
        "unknown metric 'MRE_px'. Did you mean 'mre_px'? The 3 nearest of 103: mre_px, mre_px512, mre_mm."
    )


def test_the_first_line_of_an_error_without_text_is_its_type() -> None:
    assert first_line(ValueError("\nno such table\n[SQL: ...]")) == "no such table"
    assert first_line(KeyError()) == "KeyError"
