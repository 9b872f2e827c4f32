"""Checks of a training before it starts, and of a model after it."""
