"""`palate serve`."""

from palate.config import ServeConfig
from palate.errors import ConfigError


def run_serve(config: ServeConfig) -> int:
    """Serve until a signal; 0 when every accepted request was answered."""
    try:
        from palate.serving.server import serve
    except ModuleNotFoundError as error:
        raise ConfigError(f"palate serve needs {error.name}: pip install 'palate[serve]'") from error
    return serve(config, say=lambda line: print(line, flush=True))
