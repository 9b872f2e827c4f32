"""Films: reading, splitting, preparing and making them."""
