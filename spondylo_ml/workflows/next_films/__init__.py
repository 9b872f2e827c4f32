"""`next`: which unlabelled films to label first."""

from spondylo_ml.workflows.next_films.workflow import NextResult, next_films

__all__ = ["NextResult", "next_films"]
