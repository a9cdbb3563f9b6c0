"""What can go wrong, said so that it can be mended: what happened, where, and what to do.

Everything that a user can cause derives from `PalateError`; the command line prints its message without a
traceback and exits with code 2. An `assert` anywhere in palate is a bug of palate's own, never the user's.
"""


class PalateError(Exception):
    """Base of every error that palate raises on purpose."""


class ConfigError(PalateError):
    """A setting is unknown, out of range, or contradicts another."""


class DataError(PalateError):
    """A file or a row of preference data cannot be used.

    Attributes:
        reason: a short fixed name such as `identical-pair`, the key under which skipped rows are counted.
        where: `file:line`, or `file` where the fault has no line.
        field: the column at fault, or None.
    """

    def __init__(self, message: str, *, reason: str, where: str = "", field: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.reason = reason
        self.where = where
        self.field = field


class ModelError(PalateError):
    """A checkpoint cannot be used as a reward model, or a body cannot run the way that was asked."""


class MissingHeadError(ModelError):
    """A checkpoint has no head that gives one reward: none at all, one left to chance, or one of several labels."""


class ContractError(PalateError):
    """A reward model is about to be used on text that is rendered differently from its training text."""


class NonFiniteError(PalateError):
    """A reward, loss or gradient became NaN or infinite; the message names the rows."""


class PalateWarning(UserWarning):
    """Something the user should know that does not stop the work; the command line shows it in its own way."""
