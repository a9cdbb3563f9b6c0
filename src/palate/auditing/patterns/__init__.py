"""What the responses with the highest rewards have in common, and whether people want it."""

from palate.auditing.patterns.check import check_patterns

__all__ = ["check_patterns"]
