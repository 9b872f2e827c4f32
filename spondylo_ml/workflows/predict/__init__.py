"""`predict`: corners, slips and grades of films, written to a folder."""

from spondylo_ml.workflows.predict.workflow import Predicted, predict

__all__ = ["Predicted", "predict"]
