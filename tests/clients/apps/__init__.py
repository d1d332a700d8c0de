"""Small real applications: `on_<framework>` has `CHECKS`, and `shops` yields what they run in."""
