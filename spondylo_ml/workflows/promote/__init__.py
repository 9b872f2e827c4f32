"""`promote`: candidates against the champion of the model registry."""

from spondylo_ml.workflows.promote.workflow import Promotion, promote

__all__ = ["Promotion", "promote"]
