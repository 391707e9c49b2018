"""Checks results on disk: shares, joules, and what may join the collection."""
