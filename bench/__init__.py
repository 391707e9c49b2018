"""bitwatt: what one card earns at mining and at AI, from one run under one power meter."""

__version__ = "0.1.0"
