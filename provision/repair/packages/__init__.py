"""Distributions in the copy: resolved to exact files, then changed."""
