"""Typed settings of every command: each field documented once, here, and shown by `--help`.

The configurations are frozen dataclasses. A YAML file gives defaults (`--config run.yaml`), flags override it, and
the resolved result is saved with the run. Python functions take the same names with the same defaults.

    training     TrainConfig, and what makes one run another
    audit        the settings of the audit
    data         the settings of the commands that check and change data
    commands     the settings of the other commands
    values       configurations from plain values and YAML files
"""

from palate.config.audit import AuditConfig
from palate.config.commands import DemoConfig, EvalConfig, ScoreConfig, SimulateConfig
from palate.config.data import AggregateConfig, BalanceConfig, CheckConfig, ConvertConfig, SplitConfig
from palate.config.training import PoolingName, TrackerName, TrainConfig, differences
from palate.config.values import build, read_yaml, resolve, write_yaml

__all__ = [
    "AggregateConfig",
    "AuditConfig",
    "BalanceConfig",
    "CheckConfig",
    "ConvertConfig",
    "DemoConfig",
    "EvalConfig",
    "PoolingName",
    "ScoreConfig",
    "SimulateConfig",
    "SplitConfig",
    "TrackerName",
    "TrainConfig",
    "build",
    "differences",
    "read_yaml",
    "resolve",
    "write_yaml",
]
