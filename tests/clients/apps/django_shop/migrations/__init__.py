"""The schema in two steps, the second of which also moves data."""
