"""Probe answers → stages, a verdict and its receipt. Pure: nothing here starts a process or reads a file."""
