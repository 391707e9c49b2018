"""The command ``bitwatt``: wires the packages together; the only place that prints or exits."""
