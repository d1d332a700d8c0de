"""An adapter for each PostgreSQL client."""
