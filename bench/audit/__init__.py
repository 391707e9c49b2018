"""Judges results on disk again: shares, joules, and what may join the collection."""
