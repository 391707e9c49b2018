"""Nonce scans of a proof of work: one job over an engine per device kind, with shares as evidence of the work."""
