"""What is said of a name that does not exist."""

from __future__ import annotations

import pytest

from spondylo_ml.cli.flags import TrainFlags
from spondylo_ml.config import field_names
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.errors import nearest_hint, nearest_names, unknown_name


@pytest.mark.parametrize(
    ("given", "meant"),
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
def test_capitals_hyphens_and_parts_of_a_name_lead_to_the_name(given: str, meant: str) -> None:
    assert nearest_hint(given, MODEL_NAMES) == f" Did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("given", "meant"),
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
def test_a_dotted_name_is_found_by_its_end_and_by_its_initials(given: str, meant: str) -> None:
    assert nearest_names(given, field_names(TrainFlags), 3)[0] == meant


def test_nothing_is_said_to_be_meant_by_what_is_like_nothing() -> None:
    assert nearest_hint("xyz", MODEL_NAMES) == ""


def test_few_names_are_listed_in_full_and_of_many_the_three_nearest() -> None:
    assert unknown_name("fruit", "Aple", ["pear", "apple"]) == (
        "unknown fruit 'Aple'. Did you mean 'apple'? Allowed: apple, pear."
    )
    many = [f"metric_{i:03d}" for i in range(100)] + ["mre_px512", "mre_px", "mre_mm"]
    assert unknown_name("metric", "MRE_px", many) == (
        "unknown metric 'MRE_px'. Did you mean 'mre_px'? The 3 nearest of 103: mre_px, mre_px512, mre_mm."
    )
