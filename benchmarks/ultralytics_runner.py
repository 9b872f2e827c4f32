"""Trains and applies an Ultralytics pose model; runs in an environment that has Ultralytics, and not this project.

    python ultralytics_runner.py train <data.yaml> <folder> <minutes> <image size> <batch> <seed>
    python ultralytics_runner.py predict <weights> <list of images> <image size> <new JSON file>

The model is yolo11n-pose from random weights. The JSON file has for each image its detections, with
confidence and corners in px of the image, and the seconds that it took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ultralytics import YOLO

MODEL = "yolo11n-pose.yaml"
LEAST_CONFIDENCE = 0.05


def train(data: str, folder: str, minutes: str, image_size: str, batch: str, seed: str) -> None:
    """Train for some minutes; the best weights are in `<folder>/trained/weights/best.pt`."""
    YOLO(MODEL).train(
        data=data, project=folder, name="trained", exist_ok=True, time=float(minutes) / 60, epochs=1000,
        imgsz=int(image_size), batch=int(batch), seed=int(seed), device="cpu", workers=0, pretrained=False, plots=False,
    )  # fmt: skip


def predict(weights: str, images: str, image_size: str, to: str) -> None:
    """Read each image of the list alone."""
    model = YOLO(weights)
    results = []
    for path in Path(images).read_text(encoding="utf-8").splitlines():
        started = time.perf_counter()
        (result,) = model.predict(path, imgsz=int(image_size), conf=LEAST_CONFIDENCE, device="cpu", verbose=False)
        seconds = time.perf_counter() - started
        detections = [
            {"confidence": float(box.conf), "corners_xy_px": points.tolist()}
            for box, points in zip(result.boxes, result.keypoints.xy, strict=True)
        ]
        results.append({"image": path, "seconds": seconds, "detections": detections})
    Path(to).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    {"train": train, "predict": predict}[sys.argv[1]](*sys.argv[2:])
