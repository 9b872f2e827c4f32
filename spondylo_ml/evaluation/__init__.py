"""Compare predictions with labels: metrics, reports with intervals, uncertainty."""
