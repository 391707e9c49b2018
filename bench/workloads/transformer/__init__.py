"""The matrix work of one transformer block at published model shapes."""
