"""From corners to clinical measurements: pure geometry."""
