"""palate: reward models you can trust.

The names below are imported when they are first used, so `import palate` costs nothing and the parts that need no
torch stay free of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from palate.auditing.run import audit as audit
    from palate.auditing.versus.run import compare as compare
    from palate.config import AuditConfig as AuditConfig
    from palate.config import CheckConfig as CheckConfig
    from palate.config import CompareConfig as CompareConfig
    from palate.config import EvalConfig as EvalConfig
    from palate.config import ExportConfig as ExportConfig
    from palate.config import ParityConfig as ParityConfig
    from palate.config import PlaygroundConfig as PlaygroundConfig
    from palate.config import ScoreConfig as ScoreConfig
    from palate.config import TrainConfig as TrainConfig
    from palate.conversion import convert as convert
    from palate.curate.aggregate import aggregate as aggregate
    from palate.curate.balance import balance as balance
    from palate.curate.split import split as split
    from palate.errors import PalateError as PalateError
    from palate.evaluation import evaluate as evaluate
    from palate.exporting.run import export as export
    from palate.health.check import check_data as check_data
    from palate.model.reward_model import RewardModel as RewardModel
    from palate.parity_check.run import parity as parity
    from palate.playground.page import write_playground as write_playground
    from palate.poolings import compare_poolings as compare_poolings
    from palate.records import Comparison as Comparison
    from palate.records import Message as Message
    from palate.records import PreferenceGroup as PreferenceGroup
    from palate.score_file import score as score
    from palate.score_parts.run import score_files as score_files
    from palate.training.run import train as train

__version__ = "0.1.0"

_HOMES = {
    "AuditConfig": "palate.config",
    "CheckConfig": "palate.config",
    "CompareConfig": "palate.config",
    "Comparison": "palate.records",
    "EvalConfig": "palate.config",
    "ExportConfig": "palate.config",
    "Message": "palate.records",
    "PalateError": "palate.errors",
    "ParityConfig": "palate.config",
    "PlaygroundConfig": "palate.config",
    "PreferenceGroup": "palate.records",
    "RewardModel": "palate.model.reward_model",
    "ScoreConfig": "palate.config",
    "TrainConfig": "palate.config",
    "aggregate": "palate.curate.aggregate",
    "audit": "palate.auditing.run",
    "balance": "palate.curate.balance",
    "check_data": "palate.health.check",
    "compare": "palate.auditing.versus.run",
    "compare_poolings": "palate.poolings",
    "convert": "palate.conversion",
    "evaluate": "palate.evaluation",
    "export": "palate.exporting.run",
    "parity": "palate.parity_check.run",
    "score": "palate.score_file",
    "score_files": "palate.score_parts.run",
    "split": "palate.curate.split",
    "train": "palate.training.run",
    "write_playground": "palate.playground.page",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'palate' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
