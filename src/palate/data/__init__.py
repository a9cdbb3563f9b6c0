"""Preference data: rows in, comparison groups and token ids out."""
