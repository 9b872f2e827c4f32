"""What every page, card and summary says of this software."""

DISCLAIMER = "Research software, not a medical device."

FILM_NOTICE = "Research use only. Not a medical device: nothing in this report may guide the care of a patient."
"""The notice of a film report."""
