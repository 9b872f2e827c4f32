"""Which model is champion, and why: decision, history and texts; independent of MLflow and of the models."""
