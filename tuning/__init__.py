"""Hyperparameter studies with Optuna, tracked in MLflow. Run from a clone as `python -m tuning`."""
