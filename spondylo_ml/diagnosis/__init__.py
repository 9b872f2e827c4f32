"""Checks before a training run, and diagnosis of a trained model."""
