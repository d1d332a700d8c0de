"""The checks of every PostgreSQL client, one module for each subject."""
