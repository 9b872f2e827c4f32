"""The report of one film, for programs (JSON) and for people (HTML)."""
