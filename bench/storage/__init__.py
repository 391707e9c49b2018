"""Results on disk: the CSV and its sidecar."""
