"""Pins to an environment on disk."""
