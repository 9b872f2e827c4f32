"""Trained models outside training: on disk, and predicting."""
