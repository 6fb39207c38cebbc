"""Typer commands: parse, one workflow, render, exit code."""

import gc

# Most runs end within a quarter of a second: looking for cycles costs more than it frees, while modules are loaded too.
gc.set_threshold(100_000)
