"""Comparison groups as rows of other formats, and those rows as files; what a format cannot carry is counted.

target          what a target is, and the job that counts what gets lost
pairing         the comparisons of a group one by one
pairs           chosen and rejected: TRL, HH, OpenRLHF, RewardBench, LLMBar, JudgeBench
lists           palate's own rows, rankings, and the list forms of RewardBench 2 and RM-Bench
votes           single votes, in lists or as a table
label_studio    tasks to be judged in Label Studio, and its export
argilla         records to be ranked in Argilla, and its export
targets         all targets by name
files           rows into JSONL, JSON, CSV and Parquet
"""
