"""The report of one film: its values, with a JSON schema."""
