"""The last lines that a command prints: what it reached, and where to look."""
