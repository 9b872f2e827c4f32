"""`train`: films to a logged model, once or fold by fold."""

from spondylo_ml.workflows.train.workflow import TrainResult, train

__all__ = ["TrainResult", "train"]
