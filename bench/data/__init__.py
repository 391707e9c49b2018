"""Data files that ship with the package: cards, shapes and example prices. Code reads them from this folder."""

from pathlib import Path

DATA = Path(__file__).resolve().parent
PACKAGE = DATA.parent
"""The installed package; in a checkout its parent is the repository's root."""
