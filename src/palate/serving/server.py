"""The process: a socket, a model, an application, and a way to stop that loses nothing.

At SIGTERM or Ctrl-C the server stops taking requests (`/readyz` says 503, new ones get 503), answers all that it has
accepted, and exits with 0. Ctrl-C after that ends it at once.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn

from palate.config import ServeConfig
from palate.errors import ConfigError
from palate.golden import golden_texts
from palate.model.loading import load_reward_model
from palate.model.reward_model import RewardModel
from palate.model.self_check import check_layout
from palate.scoring import ScoringRun, compare_int8
from palate.serving import logs
from palate.serving.app import create_app
from palate.serving.engine import Engine
from palate.serving.keys import check_bind, read_keys
from palate.serving.metrics import Metrics
from palate.serving.replicas import serve_replicas
from palate.serving.service import Service
from palate.serving.settings import Settings

_KEEP_ALIVE = 75  # seconds: longer than clients keep idle connections, so that they close them and not we under them
_LAST_WORDS = 5  # seconds for answers to leave once all are computed
_LOG = logging.getLogger("palate.serving")


def serve(config: ServeConfig, *, say: Callable[[str], object] = lambda _line: None) -> int:
    """Serve until a signal.

    Args:
        config: all settings.
        say: told the address.

    Returns:
        0 when every accepted request was answered, 1 when the grace period was too short for that.

    Raises:
        PalateError: a setting or the model cannot be used.
    """
    keys = check(config)
    with bind(config.host, config.port) as listener:
        host, port = listener.getsockname()[:2]
        address = f"[{host}]" if ":" in host else host
        say(f"palate serves {config.model} at http://{address}:{port}; GET /readyz says when it is ready")
        if config.replicas > 1:
            return serve_replicas(f"{__name__}:{serve_on.__name__}", config, listener, keys)
        return serve_on(config, listener, keys)


def check(config: ServeConfig) -> tuple[str, ...]:
    """The keys, if nothing is wrong with the settings.

    Raises:
        ConfigError: a number is out of range, the keys cannot be used, or others could come in without one.
    """
    least = {"port": 0, "cache_size": 0, "max_wait_ms": 0, "grace_s": 0}
    for name in (
        "port",
        "tokens_per_pack",
        "max_wait_ms",
        "max_waiting",
        "max_requests",
        "max_items",
        "max_body_mb",
        "cache_size",
        "timeout_s",
        "grace_s",
        "replicas",
    ):
        value = getattr(config, name)
        if not value >= least.get(name, 1e-3):
            raise ConfigError(f"--{name.replace('_', '-')} is {value}; it must be {'0 or ' * (name in least)}more")
    if config.max_items > config.max_waiting:
        raise ConfigError(f"--max-items {config.max_items} can never be taken with --max-waiting {config.max_waiting}")
    keys = read_keys(Path(config.api_key_file)) if config.api_key_file is not None else ()
    check_bind(config.host, keys)
    return keys


def bind(host: str, port: int) -> socket.socket:
    """A socket that has the address, and does not listen yet.

    Raises:
        ConfigError: it cannot be had.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}; choose another --port") from error
    listener.set_inheritable(True)
    return listener


def serve_on(
    config: ServeConfig,
    listener: socket.socket,
    keys: tuple[str, ...],
    *,
    on_listening: Callable[[], object] | None = None,
) -> int:
    """Serve one model on a bound socket until a signal.

    Args:
        config: all settings.
        listener: the socket.
        keys: any of which opens every route.
        on_listening: of a replica, which listens only when its boot check has passed, and then calls this. Alone, a
            server listens at once and says on `/readyz` how the check stands.

    Returns:
        The exit code, see `serve`; 1 also for a replica whose check failed.
    """
    logs.configure()
    model = load(config)
    contract = model.describe()
    metrics = Metrics(center=contract.reward_mean or 0.0, width=contract.reward_std or 1.0)
    engine = Engine(
        model,
        tokens_per_pack=config.tokens_per_pack,
        max_waiting=config.max_waiting,
        max_wait=config.max_wait_ms / 1000,
        cache_size=config.cache_size,
        metrics=metrics,
    )
    settings = Settings(
        name=config.name or Path(config.model).name,
        keys=keys,
        max_items=config.max_items,
        max_body_bytes=int(config.max_body_mb * 2**20),
        max_requests=config.max_requests,
        answer_seconds=config.timeout_s,
        log_text=config.log_text,
        check_first=on_listening is not None,
    )
    app = create_app(engine, settings)
    options = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        loop="asyncio",
        proxy_headers=False,  # who may take turns is not for a header to say
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_LAST_WORDS,
    )
    server = DrainingServer(options, app.state.service, grace=config.grace_s, on_listening=on_listening)
    server.run(sockets=[listener])
    return int(not server.answered_all)


def load(config: ServeConfig) -> RewardModel:
    """The model as it is served; what has to be said of it is logged.

    Raises:
        PalateError: it cannot be used.
    """
    model = load_reward_model(config.model, dtype=config.dtype, layout=config.layout, max_length=config.max_length)
    golden = [tokens for _, tokens in golden_texts(model)]
    check_layout(model, golden)
    remarks = list(model.remarks)
    if config.dtype == "int8":
        compare_int8(model, golden, tokens_per_pack=config.tokens_per_pack, run=ScoringRun(say=remarks.append))
    for remark in remarks:
        _LOG.warning("model", extra={"fields": {"remark": remark}})
    return model


class DrainingServer(uvicorn.Server):
    """uvicorn's server, which at a signal finishes what it has accepted first, and then exits with 0.

    Args:
        config: uvicorn's own.
        service: told to take nothing more.
        grace: seconds for the accepted requests.
        on_listening: of a replica: called once, and its end follows that of the process that started it.

    Attributes:
        answered_all: whether they were enough.
    """

    def __init__(
        self, config: uvicorn.Config, service: Service, *, grace: float, on_listening: Callable[[], object] | None
    ) -> None:
        super().__init__(config)
        self.answered_all = True
        self._service = service
        self._grace = grace
        self._asked = False
        self._draining: asyncio.Task[bool] | None = None
        self._on_listening = on_listening
        self._parent = os.getppid() if on_listening is not None else None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: drain; Ctrl-C after it: stop at once. uvicorn's own would raise it again at the end."""
        if self._asked and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self._asked = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._on_listening is not None:
            self._on_listening()
            self._on_listening = None
        if self._parent is not None and os.getppid() != self._parent:
            self._asked = True
        if self._asked and self._draining is None:
            _LOG.info("draining", extra={"fields": {"waiting": self._service.engine.waiting}})
            self._service.state, self._service.why = "draining", "it answers what it has accepted, and stops"
            self._draining = asyncio.get_running_loop().create_task(self._service.engine.drain(self._grace))
        if self._draining is not None and self._draining.done():
            self.answered_all = self._draining.result()
            self.should_exit = True
            _LOG.info("stopping", extra={"fields": {"answered_all": self.answered_all}})
        return await super().on_tick(counter)
