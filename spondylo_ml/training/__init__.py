"""Fitting a model; knows neither MLflow nor the metrics, which are handed in."""
