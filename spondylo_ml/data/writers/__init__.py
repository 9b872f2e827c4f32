"""Dataset writers by name of the layout."""

from __future__ import annotations

from spondylo_ml.data.writers.base import Writer
from spondylo_ml.data.writers.buu import BuuWriter
from spondylo_ml.data.writers.coco import CocoWriter
from spondylo_ml.data.writers.cvat import CvatWriter
from spondylo_ml.data.writers.label_studio import LabelStudioWriter
from spondylo_ml.data.writers.labelme import LabelMeWriter
from spondylo_ml.data.writers.mendeley import MendeleyWriter
from spondylo_ml.data.writers.slicer import SlicerWriter
from spondylo_ml.data.writers.yolo import YoloWriter

WRITERS: dict[str, Writer] = {
    writer.kind: writer
    for writer in (
        MendeleyWriter(),
        YoloWriter(),
        BuuWriter(),
        CocoWriter(),
        LabelStudioWriter(),
        CvatWriter(),
        LabelMeWriter(),
        SlicerWriter(),
    )
}
