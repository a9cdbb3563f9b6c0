"""Which format a row is in, by its columns alone.

Each row is recognised for itself, so that one file may mix formats. A format is a name, the columns that it
cannot do without, those it can, and a function of the row; the first whose columns are all there reads it.
Where none fits, the error says which columns the nearest one misses, or lists all of them: a guess would
train on the wrong text.

| format | columns (a star marks an optional one) |
|---|---|
| oasst-tree | prompt as a tree of messages with replies |
| palate-group | id, prompt, responses, comparisons, gold* |
| rewardbench | prompt, chosen, rejected, chosen_model, rejected_model, subset |
| rm-bench | prompt, chosen and rejected as lists of three texts, domain |
| pair-lists | prompt, chosen and rejected as lists of texts |
| pair-standard, pair-conversational | prompt, chosen, rejected |
| openrlhf | context_messages, chosen, rejected |
| pair-implicit-prompt, hh-transcript | chosen, rejected |
| llmbar | input, output_1, output_2, label |
| judgebench | question, response_A, response_B, label, response_model* |
| votes | prompt, response_a, response_b, votes |
| votes-table | task, left, right, label, annotator* or worker*, prompt*, first*, seconds*, left_model*, right_model* |
| votes-ukpconvarg | debate, stance, a1, a2, votes, topic* |
| votes-pandalm | instruction, input*, response1, response2, annotator1, annotator2*, annotator3*, cmp_key* |
| votes-squality | passage-id, questions |
| label-studio | data as an object, annotations* |
| label-studio-min | annotator, annotation_id, comparison* or tie*, two texts |
| argilla, argilla-flat | fields as an object and responses*; or ranking.responses and the fields |
| helpsteer | prompt, response, helpfulness |
| helpsteer2-preference | prompt, response_1, response_2, preference_strength |
| helpsteer3-preference | context, response1, response2, overall_preference |
| ultrafeedback | instruction, completions |
| ranked | prompt, responses, ranks* or scores* |
| ranked-nemo | context, completions |
| scoring | prompt, and responses or response, gold*; only where comparisons are not required |

All but the palate-group may add a `system` column, the text of a system message before the prompt, an id (`id`,
`pair_id`, `prompt_id` or `idx`), and the columns of `palate.data.origins`. Rows of votes-table, label-studio-min and
helpsteer make a group together with the others of their task or prompt.
"""

from collections.abc import Callable
from dataclasses import dataclass

from palate.data import argilla, benchmarks, label_studio, ratings, vote_table
from palate.data.cells import Cell
from palate.data.draft import Draft, Reading
from palate.data.pairs import (
    PAIR_COLUMNS,
    read_explicit_pair,
    read_implicit_pair,
    read_openrlhf_pair,
    read_transcript_pair,
)
from palate.data.rankings import ORDER_COLUMNS, has_order, read_candidates, read_nemo, read_ranked
from palate.data.rows import row_to_group
from palate.data.squality import read_squality
from palate.data.textfiles import RawRow
from palate.data.trees import read_tree
from palate.data.votes import PANDALM_ANNOTATORS, read_pandalm, read_ukpconvarg, read_votes
from palate.errors import DataError

ID_COLUMNS = ("id", "pair_id", "prompt_id", "idx")


def _always(row: Cell) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Format:
    """One way to spell preferences.

    Attributes:
        name: the name under which its rows are counted.
        required: columns without which a row is not in this format.
        read: from a row to its groups, or from all rows that make one group, where there is a key.
        optional: other columns that it reads.
        fits: what else must hold.
        key: what the rows of one group have in common, in formats that spread a group over several rows; it also
            finds the faults that a row has by itself.
        compares: False for rows that are only to be scored, which are read where comparisons are not
            required.
    """

    name: str
    required: tuple[str, ...]
    read: Callable[..., Reading]
    optional: tuple[str, ...] = ()
    fits: Callable[[Cell], bool] = _always
    key: Callable[[Cell], str] | None = None
    compares: bool = True


def _holds_tree(row: Cell) -> bool:
    return isinstance(row["prompt"].value, dict) and "replies" in row["prompt"].value


def _has_messages(row: Cell) -> bool:
    return any(isinstance(row.value.get(name), list) for name in ("prompt", "chosen", "rejected"))


def _is_text(row: Cell) -> bool:
    return isinstance(row.value.get("chosen"), str)


def _is_unordered(row: Cell) -> bool:
    return "responses" not in row.value or not has_order(row, row["responses"])


def _read_group(row: Cell) -> Reading:
    group = row_to_group(row.value, row.where)
    return Reading(
        (
            Draft(
                group.prompt,
                group.responses,
                group.comparisons,
                group.id,
                group.source,
                group.models,
                group.time,
                group.gold,
            ),
        )
    )


_GROUP_MORE = ("source", "models", "time", "gold")
_PAIR = ("prompt", "chosen", "rejected")
_BARE_PAIR = ("chosen", "rejected")
_REWARDBENCH = (*_PAIR, "chosen_model", "rejected_model", "subset")
_PANDALM = ("instruction", "response1", "response2", "annotator1")
_PANDALM_MORE = ("input", *PANDALM_ANNOTATORS, "cmp_key", "motivation_app")
_MIN = ("annotator", "annotation_id")
_MIN_MORE = (label_studio.CONTROL, label_studio.TIE_CONTROL, "first", "lead_time", "updated_at", *label_studio.PROMPTS)
_TASK = ("annotations", "predictions", "updated_at")
_RECORD = ("responses", "suggestions", "metadata", "vectors", "status", "_server_id")
_FLAT = (*argilla.FLAT_COLUMNS, *argilla.PROMPTS, "status", "_server_id")
_COUNTS = ("num_correct", "num_incorrect", "total_completions")
_TABLE = ("task", "left", "right", "label")
_HELPSTEER = ("prompt", "response", "helpfulness")
_STRENGTH = ("prompt", "response_1", "response_2", "preference_strength")
_OVERALL = ("context", "response1", "response2", "overall_preference")

FORMATS = (
    Format("oasst-tree", ("prompt",), read_tree, ("message_tree_id", "tree_state"), _holds_tree),
    Format("palate-group", ("prompt", "responses", "comparisons"), _read_group, _GROUP_MORE),
    Format("rewardbench", _REWARDBENCH, benchmarks.read_rewardbench, fits=_is_text),
    Format("rm-bench", (*_PAIR, "domain"), benchmarks.read_rm_bench, fits=benchmarks.holds_lists),
    Format("pair-lists", _PAIR, benchmarks.read_lists, _COUNTS, benchmarks.holds_lists),
    Format("pair-conversational", _PAIR, read_explicit_pair, PAIR_COLUMNS, _has_messages),
    Format("pair-standard", _PAIR, read_explicit_pair, PAIR_COLUMNS),
    Format("openrlhf", ("context_messages", *_BARE_PAIR), read_openrlhf_pair, PAIR_COLUMNS),
    Format("pair-implicit-prompt", _BARE_PAIR, read_implicit_pair, PAIR_COLUMNS, _has_messages),
    Format("hh-transcript", _BARE_PAIR, read_transcript_pair, PAIR_COLUMNS),
    Format("llmbar", ("input", "output_1", "output_2", "label"), benchmarks.read_llmbar),
    Format("judgebench", ("question", "response_A", "response_B", "label"), benchmarks.read_judgebench),
    Format("votes", ("prompt", "response_a", "response_b", "votes"), read_votes),
    Format("votes-table", _TABLE, vote_table.read_vote_table, vote_table.TABLE_COLUMNS, key=vote_table.table_key),
    Format("votes-ukpconvarg", ("debate", "stance", "a1", "a2", "votes"), read_ukpconvarg, ("topic",)),
    Format("votes-pandalm", _PANDALM, read_pandalm, _PANDALM_MORE),
    Format("votes-squality", ("passage-id", "questions"), read_squality),
    Format("label-studio", ("data",), label_studio.read_label_studio, _TASK, label_studio.holds_task),
    Format(
        "label-studio-min",
        _MIN,
        label_studio.read_label_studio_min,
        _MIN_MORE,
        key=label_studio.min_key,
    ),
    Format("argilla", ("fields",), argilla.read_argilla, _RECORD, argilla.holds_record),
    Format("argilla-flat", ("ranking.responses",), argilla.read_argilla_flat, _FLAT),
    Format("helpsteer", _HELPSTEER, ratings.read_helpsteer, key=ratings.helpsteer_key),
    Format("helpsteer2-preference", _STRENGTH, ratings.read_helpsteer_pair),
    Format("helpsteer3-preference", _OVERALL, ratings.read_helpsteer3),
    Format("ultrafeedback", ("instruction", "completions"), ratings.read_ultrafeedback),
    Format("scoring", ("prompt", "responses"), read_candidates, ("gold",), _is_unordered, compares=False),
    Format("scoring", ("prompt", "response"), read_candidates, ("gold",), compares=False),
    Format("ranked", ("prompt", "responses"), read_ranked, ORDER_COLUMNS),
    Format("ranked-nemo", ("context", "completions"), read_nemo, ORDER_COLUMNS),
)
"""All formats, in the order in which they are tried."""

_COMPARING = tuple(one for one in FORMATS if one.compares)


def recognise(row: RawRow, *, require_comparisons: bool = True) -> Format:
    """The first format whose required columns the row fills, or else merely has.

    Raises:
        DataError: `missing-column` where the row has columns of a format but not all, `too-few-responses` for
            a single response that is to be compared, `unknown-format` otherwise.
    """
    whole = Cell.of(row)
    every = set(row.values)
    formats = _COMPARING if require_comparisons else FORMATS
    # tables fill up absent columns with nulls, so columns that hold something decide first
    for columns in ({name for name in every if row.values[name] is not None}, every):
        for one in formats:
            if columns.issuperset(one.required) and one.fits(whole):
                return one
    raise _unrecognised(whole, formats)


def _is_started(one: Format, columns: set[str]) -> bool:
    """Whether half of its columns are there; `prompt` alone is a sign of no format in particular."""
    telling = set(one.required) - {"prompt"}
    return 0 < len(telling) <= 2 * len(telling & columns)


def _unrecognised(row: Cell, formats: tuple[Format, ...]) -> DataError:
    columns = set(row.value)
    if {"prompt", "response"} <= columns:
        message = "there is one response, and nothing to compare it with; rows to be compared hold two or more"
        return row["response"].fault("too-few-responses", message)
    started = [one for one in formats if _is_started(one, columns) and one.fits(row)]
    seen = ", ".join(map(str, row.value)) or "none"
    if started:
        nearest = min(started, key=lambda one: len(set(one.required) - columns))
        absent = [name for name in nearest.required if name not in columns]
        message = f"{', '.join(absent)} missing for a row of format {nearest.name} (columns: {seen}); add it"
        return Cell(row.where, None, absent[0]).fault("missing-column", message)
    known = "; ".join(f"{one.name} ({', '.join(one.required)})" for one in formats)
    message = f"no known format has the columns {seen}; rename them to those of a known one: {known}"
    return row.fault("unknown-format", message)
