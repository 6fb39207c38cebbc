"""Typer commands: parse, one workflow, render, exit code."""
