"""Experiment tracking for vertebral corners and spondylolisthesis on lateral radiographs."""

__version__ = "0.1.0"
