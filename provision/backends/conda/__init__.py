"""Conda environments without conda: rattler in a child process, and what makes its prefixes at home among conda's."""
