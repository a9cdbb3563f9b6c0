"""Measurements of palate against what people use instead; see README.md here."""
