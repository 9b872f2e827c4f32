"""Trains the starter model, the one that the package carries, and writes it into the package. Not part of the wheel."""
