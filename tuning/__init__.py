"""Studies: many trainings, one MLflow tree. Run from a clone as `python -m tuning`."""
