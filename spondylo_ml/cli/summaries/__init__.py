"""Summaries that commands print at the end: the main results, and where to find the rest."""
