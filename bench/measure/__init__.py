"""Measuring: devices, provenance, timing, windows under a meter, one device into one store."""
