"""Locks as text: every format ⇄ `provision.model.lock.Lock`, and what changed between two of them. Pure."""
