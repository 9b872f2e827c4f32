"""HTML pages, and the charts and pictures on them."""
