"""Code of the model that MLflow loads: it names the class, so that nothing is pickled."""

import mlflow

from spondylo_ml.serving.pyfunc import LandmarkPyfunc

mlflow.models.set_model(LandmarkPyfunc())
