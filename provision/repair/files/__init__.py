"""A repair as a patch: paths before and after, found, kept, carried out and taken back."""
