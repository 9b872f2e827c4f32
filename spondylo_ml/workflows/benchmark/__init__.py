"""`benchmark`: several models, each trained with several seeds on the same films, and ranked."""

from spondylo_ml.workflows.benchmark.workflow import BenchmarkResult, benchmark

__all__ = ["BenchmarkResult", "benchmark"]
