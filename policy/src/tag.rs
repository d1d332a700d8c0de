//! Tags: key=value pairs in SQL comments.
