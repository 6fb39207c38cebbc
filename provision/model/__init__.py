"""The nouns of the project: frozen values without input or output."""
