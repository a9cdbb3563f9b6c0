"""All targets by name.

| target | rows | carries besides the preference |
|---|---|---|
| palate | a group | everything |
| trl | a pair, `trl-standard` where the data is plain texts, else `trl-conversational` | margin, origin |
| trl-standard, trl-conversational, trl-implicit | a pair: texts, messages, whole conversations | margin, origin |
| openrlhf | a pair, with context_messages | margin, origin |
| hh | a pair of transcripts | |
| rewardbench | a pair | subset, models |
| rewardbench-2 | a group in two camps, else a pair | subset, models |
| rm-bench | a group of RM-Bench | domain |
| llmbar, judgebench | a pair in its order | source; one model for both |
| ranked, nemo | a group with places for all responses | origin |
| votes | a pair with its votes | votes, origin |
| votes-table | a vote | votes, origin |
| label-studio, argilla | a pair, a group: to be judged | origin, predictions |
| label-studio-export, argilla-export | a pair, a group: judged | votes, origin, predictions |

The origin of a group is its id, source, models and time.
"""

from collections.abc import Mapping
from types import MappingProxyType

from palate.data.writers import argilla, label_studio, lists, pairs, votes
from palate.data.writers.pairing import pairwise
from palate.data.writers.target import Column, Target

_ORIGIN = frozenset({"id", "source", "models", "time"})
_ALL = _ORIGIN | {"margin", "weight", "probability", "votes", "gold"}
_ABOUT_PAIR = (
    Column("margin", "number", "margin"),
    Column("id", needs="id"),
    Column("source", needs="source"),
    Column("time", needs="time"),
    Column("chosen_model", needs="models"),
    Column("rejected_model", needs="models"),
)
_PAIR = (Column("chosen", "turns"), Column("rejected", "turns"))
_TRL = (Column("prompt", "turns"), *_PAIR, *_ABOUT_PAIR)
_REWARDBENCH = (
    Column("prompt", "turns"),
    Column("chosen"),
    Column("rejected"),
    Column("chosen_model"),
    Column("rejected_model"),
    Column("subset"),
    Column("id"),
)
_REWARDBENCH_2 = (
    Column("id"),
    Column("prompt", "turns"),
    Column("chosen", "texts"),
    Column("rejected", "texts"),
    Column("num_correct", "integer"),
    Column("num_incorrect", "integer"),
    Column("total_completions", "integer"),
    Column("models", "texts", "models"),
    Column("subset"),
)
_RM_BENCH = (
    Column("id"),
    Column("prompt", "turns"),
    Column("chosen", "texts"),
    Column("rejected", "texts"),
    Column("domain"),
)
_LLMBAR = (
    Column("input"),
    Column("output_1"),
    Column("output_2"),
    Column("label", "integer"),
    Column("id", needs="id"),
    Column("source", needs="source"),
)
_JUDGEBENCH = (
    Column("pair_id"),
    Column("source"),
    Column("question"),
    Column("response_model"),
    Column("response_A"),
    Column("response_B"),
    Column("label"),
)
_TABLE = (
    Column("task"),
    Column("annotator"),
    Column("left", "turns"),
    Column("right", "turns"),
    Column("label"),
    Column("prompt", "turns"),
    Column("first", needs="unplaced"),
    Column("seconds", "number", "seconds"),
    Column("left_model", needs="models"),
    Column("right_model", needs="models"),
    Column("source", needs="source"),
    Column("time", needs="time"),
)
_VOTES = _ORIGIN | {"votes"}

_trl_rows = pairwise(pairs.trl_row)
_EVERY = (
    Target("palate", lists.palate_rows, carries=_ALL),
    Target("trl", _trl_rows, _TRL, _ORIGIN | {"margin"}),
    Target("trl-standard", _trl_rows, _TRL, _ORIGIN | {"margin"}, "text"),
    Target("trl-conversational", _trl_rows, _TRL, _ORIGIN | {"margin"}, "messages"),
    Target(
        "trl-implicit",
        pairwise(pairs.trl_implicit_row),
        (*_PAIR, *_ABOUT_PAIR),
        _ORIGIN | {"margin"},
        "messages",
    ),
    Target(
        "openrlhf",
        pairwise(pairs.openrlhf_row),
        (Column("context_messages", "turns"), *_PAIR, *_ABOUT_PAIR),
        _ORIGIN | {"margin"},
        "messages",
    ),
    Target("hh", pairwise(pairs.hh_row), (Column("chosen"), Column("rejected"))),
    Target("rewardbench", pairwise(pairs.rewardbench_row), _REWARDBENCH, _ORIGIN - {"time"}),
    Target("rewardbench-2", lists.lists_rows, _REWARDBENCH_2, _ORIGIN - {"time"}),
    Target("rm-bench", lists.rm_bench_rows, _RM_BENCH, _ORIGIN - {"time"}),
    Target("llmbar", pairwise(pairs.llmbar_row), _LLMBAR, frozenset({"id", "source"}), "text"),
    Target("judgebench", pairwise(pairs.judgebench_row), _JUDGEBENCH, _ORIGIN - {"time"}, "text"),
    Target("ranked", lists.ranked_rows, carries=_ORIGIN),
    Target("nemo", lists.nemo_rows, carries=_ORIGIN),
    Target("votes", votes.lists_of_votes, carries=_VOTES),
    Target("votes-table", votes.table_rows, _TABLE, _VOTES),
    Target("label-studio", label_studio.task_rows, carries=_ORIGIN, predictions=True),
    Target("label-studio-export", label_studio.export_rows, carries=_VOTES, predictions=True),
    Target("argilla", argilla.record_rows, carries=_ORIGIN, predictions=True),
    Target("argilla-export", argilla.export_rows, carries=_VOTES, predictions=True),
)
TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _EVERY})
"""Every target by its name."""
