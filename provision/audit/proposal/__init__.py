"""A row for a release that the matrix does not know."""
