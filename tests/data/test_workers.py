"""More workers change the time that tokenizing takes, and nothing else."""

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palate.data import workers
from palate.data.render import CHUNK, tokenize
from palate.data.store import TokenStore, write_batches
from palate.data.workers import Job, num_workers, tokenize_chunks
from palate.errors import ConfigError, DataError, PalateError
from palate.records import Message, PreferenceGroup
from palate.testing.groups import random_groups
from palate.testing.tiny import tiny_tokenizer

GROUPS = random_groups(5 * CHUNK + 7, words=3)
LIMIT = 70  # some of the groups are longer


def made(path: Path, num: int, groups: Any = GROUPS) -> tuple[TokenStore, list[str]]:
    done = list(tokenize_chunks(groups, Job(tiny_tokenizer(), LIMIT, "drop"), workers=num))
    assert [batch.groups for batch in done] == [CHUNK] * 5 + [7]
    write_batches(path, (batch.batch for batch in done))
    return TokenStore.open(path), [row.where for batch in done for row in batch.dropped]


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    expected = tokenize(GROUPS, tiny_tokenizer(), max_length=LIMIT)
    assert expected.groups
    assert expected.dropped
    files = []
    for num in (1, 3):
        store, dropped = made(tmp_path / f"{num}.arrow", num)
        assert [group.id for group in store] == [group.id for group in expected.groups]
        assert dropped == [row.where for row in expected.dropped]
        files.append((tmp_path / f"{num}.arrow").read_bytes())
    assert files[0] == files[1]


def test_several_workers_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(groups: list[PreferenceGroup], job: Job) -> workers.TokenBatch:
        return workers.TokenBatch(os.getpid(), (), len(groups))

    monkeypatch.setattr(workers, "tokenize_chunk", tell)
    pids = {batch.batch for batch in tokenize_chunks(GROUPS, Job(None, LIMIT, "drop"), workers=2)}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2
    assert {batch.batch for batch in tokenize_chunks(GROUPS, Job(None, LIMIT, "drop"))} == {os.getpid()}


def test_only_a_few_chunks_are_read_ahead() -> None:
    taken = 0

    def counted() -> Any:
        nonlocal taken
        for group in GROUPS:
            taken += 1
            yield group

    results = tokenize_chunks(counted(), Job(tiny_tokenizer(), LIMIT, "drop"), workers=2)
    next(results)
    assert taken <= 4 * CHUNK
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() < 20


@pytest.mark.parametrize("num", [1, 2])
def test_a_row_that_the_template_refuses_is_named(num: int) -> None:
    tokenizer = tiny_tokenizer()
    refusal = "{% if messages[0].content == 'no' %}{{ raise_exception('not this') }}{% endif %}"
    tokenizer.chat_template = refusal + tokenizer.chat_template
    groups = [*GROUPS[:300], replace(GROUPS[0], prompt=(Message("user", "no"),), where="a.jsonl:301")]
    with pytest.raises(DataError, match=r"^a\.jsonl:301: the chat template refuses .*not this") as caught:
        list(tokenize_chunks(groups, Job(tokenizer, LIMIT, "drop"), workers=num))
    assert (caught.value.reason, caught.value.where) == ("template-refused", "a.jsonl:301")


def test_an_error_of_the_reader_comes_through() -> None:
    def broken() -> Any:
        yield from GROUPS[:CHUNK]
        raise DataError("torn", reason="broken-json", where="a:1")

    with pytest.raises(DataError, match="a:1: torn"):
        list(tokenize_chunks(broken(), Job(tiny_tokenizer(), LIMIT, "drop"), workers=2))


def test_a_worker_that_dies_is_an_error_that_can_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "tokenize_chunk", lambda _groups, job: os._exit(9))
    with pytest.raises(PalateError, match=r"a worker process died.*--workers 1"):
        list(tokenize_chunks(GROUPS, Job(None, LIMIT, "drop"), workers=2))


def test_how_many_workers_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = 6
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert (num_workers(0, 100_000), num_workers(0, 100), num_workers(3, 10), num_workers(1, 10**6)) == (6, 1, 3, 1)
    cores = 64
    assert (num_workers(0, 100_000), num_workers(64, 10)) == (8, 64)
    cores = 6
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (num_workers(0, 100_000), num_workers(1, 10)) == (1, 1)
    with pytest.raises(ConfigError, match="workers is 2, but darwin cannot fork safely"):
        num_workers(2, 100_000)
