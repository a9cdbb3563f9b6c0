"""Typed settings of every command: each field documented once, here, and shown by `--help`.

The configurations are frozen dataclasses. A YAML file gives defaults (`--config run.yaml`), flags override it, and
the resolved result is saved with the run. Python functions take the same names with the same defaults.

    training     TrainConfig, and what makes one run another
    audit        the settings of the audit
    serve        the settings of the server
    compare      the settings of the comparison of two reward models
    export       the settings of exports, and of comparing a server with a model
    data         the settings of the commands that check and change data
    playground   the settings of the playground
    commands     the settings of the other commands
    keys         files that hold the keys of servers
    values       configurations from plain values and YAML files
"""

from palate.config.audit import AuditConfig
from palate.config.commands import (
    DemoConfig,
    DoctorConfig,
    EvalConfig,
    ScoreConfig,
    SimulateConfig,
    WalkthroughConfig,
)
from palate.config.compare import CompareConfig
from palate.config.data import AggregateConfig, BalanceConfig, CheckConfig, ConvertConfig, SplitConfig
from palate.config.export import ExportConfig, ParityConfig
from palate.config.playground import PlaygroundConfig
from palate.config.serve import ServeConfig
from palate.config.training import PoolingName, TrackerName, TrainConfig, differences
from palate.config.values import build, read_yaml, resolve, write_yaml

__all__ = [
    "AggregateConfig",
    "AuditConfig",
    "BalanceConfig",
    "CheckConfig",
    "CompareConfig",
    "ConvertConfig",
    "DemoConfig",
    "DoctorConfig",
    "EvalConfig",
    "ExportConfig",
    "ParityConfig",
    "PlaygroundConfig",
    "PoolingName",
    "ScoreConfig",
    "ServeConfig",
    "SimulateConfig",
    "SplitConfig",
    "TrackerName",
    "TrainConfig",
    "WalkthroughConfig",
    "build",
    "differences",
    "read_yaml",
    "resolve",
    "write_yaml",
]
