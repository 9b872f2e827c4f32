"""`train`: train a model and log it, once or for each fold of a cross-validation."""

from spondylo_ml.workflows.train.workflow import TrainResult, train

__all__ = ["TrainResult", "train"]
