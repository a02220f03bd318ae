"""Other systems under the same data and splits."""
