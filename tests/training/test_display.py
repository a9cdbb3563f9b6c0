"""What a user sees: rates and the time left, the example as the model reads it, a terminal given back."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from palate.data.render import tokenize
from palate.packing.bins import pack
from palate.records import Comparison, Message, PreferenceGroup
from palate.testing.groups import random_groups
from palate.testing.runs import tiny_run
from palate.testing.tiny import tiny_tokenizer
from palate.training import loop
from palate.training.display import ConsoleDisplay
from palate.training.first_look import batch_table, rendered_example
from palate.training.journal import StepRecord
from palate.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore::palate.errors.PalateWarning")

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def console(*, terminal: bool = False, width: int = 80) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=width, height=40, _environ={"TERM": "xterm"}), file


def record(step: int, *, loss: float | None = 0.6931) -> StepRecord:
    return StepRecord(step, 0, loss, 0.53, 0.1, 1.0, 1e-5, 1e-4, 32, 9_000, 0, 0.5, 64.0, 18_000.0, loss is None)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_progress_on_a_terminal_shows_everything_in_80_columns() -> None:
    screen, file = console(terminal=True)
    display = ConsoleDisplay(screen)
    display.start(1_200, 0)
    for step in (1, 2, 3):
        display.step(record(step))
    display.stop()
    last = plain(file.getvalue()).replace("\r", "\n").strip().splitlines()[-1]
    assert re.fullmatch(r"step\s+3/1200 loss 0.6931 accuracy 0.53 64 pairs/s 18k tokens/s left [\d:-]+", last), last
    assert len(last) <= 80
    assert "…" not in last


def test_progress_in_a_file_is_a_line_now_and_then_and_the_last() -> None:
    screen, file = console()
    display = ConsoleDisplay(screen)
    display.start(50, 0)
    for step in range(1, 51):
        display.step(record(step))
    display.stop()
    lines = file.getvalue().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"step 1/50 loss 0.6931 accuracy 0.53 64 pairs/s 18k tokens/s left \d\d:\d\d", lines[0]), lines[
        0
    ]
    assert lines[1].startswith("step 50/50 ")
    assert lines[1].endswith("left 00:00")


def test_a_resumed_run_measures_the_time_left_on_its_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 20.0])
    monkeypatch.setattr("palate.training.display.time.monotonic", lambda: next(now))
    screen, file = console()
    display = ConsoleDisplay(screen)
    display.start(100, 90)
    display.step(record(92))  # two steps in 20 seconds, eight to go
    assert file.getvalue().rstrip().endswith("left 01:20")


def test_a_skipped_step_says_so() -> None:
    screen, file = console()
    display = ConsoleDisplay(screen)
    display.start(1, 0)
    display.step(record(1, loss=None))
    assert "step 1/1 skipped" in file.getvalue()


def test_the_cursor_comes_back_after_training(tmp_path: Path) -> None:
    screen, file = console(terminal=True)
    train(tiny_run(tmp_path, eval_fraction=0.2, eval_every=1), display=ConsoleDisplay(screen))
    assert file.getvalue().rindex(SHOW) > file.getvalue().rindex(HIDE)


def test_the_cursor_comes_back_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> StepRecord:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run_step", fail)
    screen, file = console(terminal=True)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_run(tmp_path, eval_fraction=0.2), display=ConsoleDisplay(screen))
    assert file.getvalue().rindex(SHOW) > file.getvalue().rindex(HIDE)


def test_markup_in_what_is_said_is_not_interpreted() -> None:
    screen, file = console()
    ConsoleDisplay(screen).say("row [bold]7[/bold] of [/x/y]")
    assert file.getvalue() == "row [bold]7[/bold] of [/x/y]\n"


def example(pooling: str, *, words: int = 1) -> str:
    group = PreferenceGroup(
        id="g",
        prompt=(Message("user", "How much? " + "word " * words),),
        responses=((Message("assistant", "yes, 7"),), (Message("assistant", "yes, 8 🙂"),)),
        comparisons=(Comparison(0, 1),),
        where="a.jsonl:3",
    )
    (tokens,) = tokenize([group], tiny_tokenizer(), max_length=9_999).groups
    screen, file = console(width=10_000)
    screen.print(rendered_example(tokens, tiny_tokenizer(), pooling=pooling))
    return file.getvalue()


def test_the_example_shows_shared_text_once_and_marks_what_is_scored() -> None:
    assert "(a.jsonl:3)" in example("last")
    last = example("last")
    assert last.count("yes, ") == last.count("How much?") == 1
    assert "response 1: 7<|im_end|>['\\n']" in last
    assert "response 2: 8 🙂<|im_end|>['\\n']" in last
    assert "['<|im_start|>']user" in example("cls")
    assert "[<|im_start|>user" in example("mean")
    assert "assistant\n[yes, ]" in example("mean-response")
    assert "response 2: [8 🙂<|im_end|>\n]" in example("attention")


def test_a_long_example_shows_its_ends() -> None:
    shown = example("last", words=400)
    assert re.search(r"\[\.\.\. 1,\d\d\d characters \.\.\.\]", shown)
    assert len(shown) < 1_500
    assert shown.index("How much?") < shown.index(" characters ...]") < shown.index("response 1: 7")


def test_the_table_of_the_first_step_counts_tokens() -> None:
    groups = tokenize(random_groups(6), tiny_tokenizer(), max_length=9_999).groups
    costs = [group.computed_tokens for group in groups]
    screen, file = console(width=120)
    packs = pack(costs, 300)
    screen.print(batch_table(groups, packs, [sum(costs[i] for i in items) for items in packs], 300))
    rows = [line.split() for line in file.getvalue().splitlines()[2:]]
    numbers = [[int(cell.replace(",", "")) for cell in row] for row in rows]
    assert sum(row[1] for row in numbers) == 6
    assert sum(row[4] for row in numbers) == sum(costs)
    assert sum(row[5] for row in numbers) == sum(group.unshared_tokens for group in groups)
    assert all(row[4] <= row[5] <= row[6] for row in numbers)
