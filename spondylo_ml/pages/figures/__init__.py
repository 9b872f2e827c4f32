"""Charts and pictures: of films, of training runs and of numbers."""
