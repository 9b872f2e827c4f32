"""Loaded by MLflow as the model's code: names the class instead of pickling it."""

import mlflow

from spondylo_ml.serving.pyfunc import LandmarkPyfunc

mlflow.models.set_model(LandmarkPyfunc())
