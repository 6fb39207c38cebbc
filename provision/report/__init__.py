"""Results drawn for a terminal or as JSON."""
