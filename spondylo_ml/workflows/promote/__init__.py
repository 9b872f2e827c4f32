"""`promote`: compare candidates with the champion of the model registry."""

from spondylo_ml.workflows.promote.result import Promotion
from spondylo_ml.workflows.promote.workflow import promote

__all__ = ["Promotion", "promote"]
