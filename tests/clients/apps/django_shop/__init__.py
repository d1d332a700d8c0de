"""The Django application of `apps.on_django`."""
