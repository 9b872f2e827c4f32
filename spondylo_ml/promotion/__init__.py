"""Which model is champion, and why: judgement, history and words; knows neither MLflow nor the models."""
