"""One JSON object a line on stderr: what happened, when, and the id of the request that it happened to."""

import json
import logging
import sys
from datetime import UTC, datetime

_NAMES = ("palate", "uvicorn")
_LOUD = ("torchao", "torch.utils._pytree")  # on every import: kernels for other machines, a deprecated call


class JsonFormatter(logging.Formatter):
    """A record's time, level and message as `event`, the fields that came with it, and its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "process": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values, default=str)


def configure() -> None:
    """Send what palate and uvicorn have to say to stderr, and nothing of either anywhere else."""
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in _NAMES:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "palate" else logging.WARNING)
