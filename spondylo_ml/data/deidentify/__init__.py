"""De-identify DICOM films by PS3.15 Annex E (basic profile): a new header from an allow-list, and masked letters."""

from __future__ import annotations

from spondylo_ml.data.deidentify.film import DeidentifiedFilm, deidentify_film, hidden_views

__all__ = ("DeidentifiedFilm", "deidentify_film", "hidden_views")
