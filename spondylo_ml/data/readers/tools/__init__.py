"""Readers of the files of labelling tools: each parses its format into `drawing`, `dataset` makes films of that."""
