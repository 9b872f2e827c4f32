"""Checks of a dataset before anyone trusts it: pure functions of films, labels and pixels."""
