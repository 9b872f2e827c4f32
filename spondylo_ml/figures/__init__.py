"""Pictures of films with corners."""
