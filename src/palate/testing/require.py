"""How a contract says that it is broken."""


def require(kept: bool, clause: str) -> None:
    """Raise `AssertionError` with the clause unless it is kept; unlike `assert`, also under `python -O`."""
    if not kept:
        raise AssertionError(clause)
