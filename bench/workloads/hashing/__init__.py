"""Nonce scans of a proof of work: one job over an engine per device kind, and the proof by shares."""
