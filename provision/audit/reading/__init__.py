"""Wheels from an index, a server or a file: parts of them, checked, and kept."""
