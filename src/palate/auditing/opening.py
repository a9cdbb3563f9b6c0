"""Opens reward models and reads the data they are put to, for whatever audits or compares them."""

from collections.abc import Callable
from typing import Literal

from palate.auditing.local import LocalScorer, RewardMemory, model_key
from palate.auditing.remote import RemoteScorer
from palate.auditing.scorer import Scorer
from palate.auditing.subject import Opened, open_checkpoint
from palate.config.keys import first_key
from palate.data import cache as cache_folder
from palate.data.load import stream_groups
from palate.data.read import PreferenceData, collect
from palate.model.loading import DtypeName
from palate.report.document import Subject

Say = Callable[[str], object]


def is_server(name: str) -> bool:
    """Whether a reward model is named by an address.

    >>> is_server("http://127.0.0.1:8000"), is_server("org/model")
    (True, False)
    """
    return name.startswith(("http://", "https://"))


def open_scorers(
    name: str,
    *,
    dtype: DtypeName,
    tokens_per_pack: int,
    cache: bool,
    tokenizer: str | None,
    api_key_file: str | None,
    advance: Callable[[int], None],
    say: Say,
) -> tuple[Opened | None, Scorer | None, Scorer | None]:
    """The checkpoint if there is one, its scorer, and one that remembers nothing; no scorers without a head.

    Args:
        name: directory, hub id, or address of a server.
        dtype: precision of a checkpoint's body.
        tokens_per_pack: budget of one forward pass.
        cache: whether rewards are kept on disk.
        tokenizer: renders text for servers that take text.
        api_key_file: holds the key of a server.
        advance: told how many groups were just scored.
        say: lines for people.

    Raises:
        ConfigError: the file with the key cannot be used.
        ModelError: there is no such model, or no server.
    """
    if is_server(name):
        server = open_server(name, tokenizer=tokenizer, api_key_file=api_key_file, advance=advance)
        say(f"{name} speaks the protocol of {server.protocol}")
        return None, server, server
    opened = open_checkpoint(name, dtype=dtype)
    for remark in opened.remarks:
        say(f"warning: {remark}")
    if opened.model is None:
        return opened, None, None
    memory = RewardMemory(cache_folder.folder() / "rewards", model_key(opened.model)) if cache else None
    kept = LocalScorer(opened.model, name, tokens_per_pack=tokens_per_pack, memory=memory, on_progress=advance)
    return opened, kept, LocalScorer(opened.model, name, tokens_per_pack=tokens_per_pack)


def open_server(
    url: str, *, tokenizer: str | None, api_key_file: str | None, advance: Callable[[int], None]
) -> RemoteScorer:
    """The scorer of a server.

    Raises:
        ConfigError: the file with the key cannot be used.
        ModelError: nothing that gives rewards answers there.
    """
    key = first_key(api_key_file) if api_key_file else None
    loaded = None
    if tokenizer is not None:
        # not at the top: servers that take messages need no transformers
        from palate.model.backbone import load_tokenizer

        loaded = load_tokenizer(tokenizer)[0]
    return RemoteScorer(url, tokenizer=loaded, api_key=key, on_progress=advance)


def read_data(
    source: str, what: str, *, split: str, on_bad_row: Literal["error", "skip"], max_groups: int | None, say: Say
) -> tuple[PreferenceData, Subject]:
    """All groups of a source, and the line that a report has about it.

    Raises:
        DataError: it cannot be read.
    """
    data = collect(stream_groups(source, split=split, on_bad_row=on_bad_row, max_groups=max_groups))
    say(f"{source}: {data.summary()}")
    comparisons = sum(len(group.comparisons) for group in data.groups)
    counts = {"rows": data.rows, "groups": len(data.groups), "comparisons": comparisons}
    return data, Subject(source, what, counts | {"rows left out": len(data.dropped)})
