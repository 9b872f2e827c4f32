"""`predict`: corners, slips and grades of films, written to a folder."""

from spondylo_ml.workflows.predict.workflow import PredictionResult, predict

__all__ = ["PredictionResult", "predict"]
