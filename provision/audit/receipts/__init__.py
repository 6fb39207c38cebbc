"""Receipts of real GPUs held against the matrix."""
