"""RewardBench, RewardBench 2, RM-Bench, LLMBar and JudgeBench: their own tables, by their own rules."""

from palate.auditing.benchmarks.check import check_benchmarks
from palate.auditing.benchmarks.items import FORMATS, formats_of

__all__ = ["FORMATS", "check_benchmarks", "formats_of"]
