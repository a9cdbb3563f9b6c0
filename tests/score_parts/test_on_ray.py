"""Parts on Ray: the rules of the pool on a stand-in that dies as it is told to, and real processes that are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.score_parts.conftest import rows_of, write_folder, write_jsonl
from tests.score_parts.test_run import files_of, manifest_of

from palate import score_file
from palate.config import ScoreConfig
from palate.errors import ConfigError, ModelError, PalateError
from palate.score_parts.on_ray import RayWorker
from palate.score_parts.run import score_files


class ActorDied(Exception):
    pass


class TaskFailed(Exception):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class Answer:
    """What `ray.get` gives; computed when it is asked for."""

    def __init__(self, compute: Callable[[], Any]) -> None:
        self.compute = compute


class Actor:
    """A `RayWorker` in this process, whose calls look like remote ones."""

    def __init__(self, cluster: "Cluster", worker: RayWorker) -> None:
        self._cluster, self._worker, self.dead = cluster, worker, False
        self.load = SimpleNamespace(remote=lambda: Answer(self._load))
        self.score = SimpleNamespace(options=lambda **_options: SimpleNamespace(remote=self._score))

    def _load(self) -> Any:
        self._cluster.loads += 1
        if self._cluster.dies_loading(self._cluster.loads):
            raise ActorDied
        try:
            return self._cluster.changed(self._worker.load())
        except PalateError as error:
            raise TaskFailed(error) from error

    def _score(self, part: Any) -> Iterator[Answer]:
        events = self._worker.score(part)

        def get() -> Any:
            if self.dead or self._cluster.dies(part.name):
                self.dead = True
                events.close()
                raise ActorDied
            return next(events)

        return iter(lambda: Answer(get), None)


class Cluster:
    """As much of Ray as the pool uses: whatever waits is ready, in an order by chance."""

    def __init__(self, *, cpus: int = 4, gpus: int = 0, seed: int = 0) -> None:
        self.resources = {"CPU": cpus, "GPU": gpus}
        self.rng = np.random.default_rng(seed)
        self.loads = 0
        self.options: list[dict[str, Any]] = []
        self.killed: list[Actor] = []
        self.on = False
        self.dies: Callable[[str], bool] = lambda _part: False
        self.dies_loading: Callable[[int], bool] = lambda _number: False
        self.changed: Callable[[Any], Any] = lambda told: told
        self.exceptions = SimpleNamespace(RayActorError=ActorDied, RayTaskError=TaskFailed)

    def is_initialized(self) -> bool:
        return self.on

    def init(self, *_arguments: Any, **_options: Any) -> None:
        self.on = True

    def shutdown(self) -> None:
        self.on = False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": self.resources}, {"Alive": False, "Resources": {"CPU": 99.0}}]

    def remote(self, kind: type[RayWorker]) -> Any:
        def options(**chosen: Any) -> Any:
            self.options.append(chosen)
            return SimpleNamespace(remote=lambda *arguments: Actor(self, kind(*arguments)))

        return SimpleNamespace(options=options)

    def wait(self, waiting: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        assert num_returns == 1
        at = int(self.rng.integers(len(waiting)))
        return [waiting[at]], waiting[:at] + waiting[at + 1 :]

    def get(self, answer: Answer) -> Any:
        return answer.compute()

    def kill(self, actor: Actor) -> None:
        self.killed.append(actor)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(score_file, "WINDOW", 2)
    cluster = Cluster()
    monkeypatch.setitem(sys.modules, "ray", cluster)
    return cluster


@pytest.fixture
def config(model: str, tmp_path: Path) -> ScoreConfig:
    (tmp_path / "data").mkdir()
    data = str(write_folder(tmp_path / "data"))
    return ScoreConfig(model=model, data=(data,), out=str(tmp_path / "out"), engine="ray", ray_workers=3)


def plain(config: ScoreConfig) -> str:
    """Where the same has been written by one process."""
    out = str(Path(config.out).with_name("plain"))
    score_files(replace(config, out=out, engine="process", ray_workers=None))
    return out


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_die_by_chance_leave_the_same_bytes(seed: int, cluster: Cluster, config: ScoreConfig) -> None:
    cluster.rng = np.random.default_rng(seed)
    deaths: list[str] = []

    def dies(part: str) -> bool:
        if deaths.count(part) < 2 and cluster.rng.random() < 0.2:
            deaths.append(part)
            return True
        return False

    cluster.dies = dies
    said: list[str] = []
    result = score_files(config, say=said.append)
    assert deaths
    assert len([line for line in said if "died; another goes on with it" in line]) == len(deaths)
    assert (result.failed, result.totals.prompts) == ({}, 34)
    assert files_of(config.out) == files_of(plain(config))
    told = manifest_of(config)["run"]
    assert (told["engine"], told["workers"]) == ("ray", 3)
    assert not cluster.on


def test_a_part_that_kills_its_workers_is_given_up_alone(cluster: Cluster, config: ScoreConfig) -> None:
    cluster.dies = lambda part: part == "c.jsonl"
    result = score_files(config)
    assert list(result.failed) == ["c.jsonl"]
    assert "3 workers died over it, perhaps for want of memory" in result.failed["c.jsonl"]
    assert result.totals.done == 7
    cluster.dies = lambda _part: False
    assert score_files(config).failed == {}
    assert files_of(config.out) == files_of(plain(config))


def test_workers_that_die_while_loading_end_the_run(cluster: Cluster, config: ScoreConfig) -> None:
    cluster.dies_loading = lambda number: number == 2
    assert score_files(config).failed == {}
    cluster.dies_loading = lambda _number: True
    with pytest.raises(PalateError, match="3 workers died while they loaded the model"):
        score_files(replace(config, overwrite=True))
    assert not cluster.on


def test_what_a_worker_complains_of_while_loading_is_said_as_it_is(cluster: Cluster, config: ScoreConfig) -> None:
    with pytest.raises(ModelError):
        score_files(replace(config, model=str(Path(config.data[0]))))
    worker = RayWorker(config, "/no/such/folder")
    with pytest.raises(ConfigError, match="no folder /no/such/folder; every machine has to see the same files"):
        worker.load()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"version": "0.0.0"}, "has palate 0.0.0, this machine"), ({"model_hash": "other"}, "found another model")],
)
def test_workers_that_are_not_alike_are_refused(
    change: dict[str, str], message: str, cluster: Cluster, config: ScoreConfig
) -> None:
    cluster.changed = lambda told: (replace(told[0], **change), told[1]) if cluster.loads == 2 else told
    with pytest.raises(PalateError, match=message):
        score_files(config)


def test_workers_get_what_there_is(cluster: Cluster, config: ScoreConfig) -> None:
    cluster.resources = {"CPU": 7.0}
    said: list[str] = []
    one = replace(config, data=(f"{config.data[0]}/a.jsonl",))
    score_files(one, say=said.append)
    assert cluster.options == [{"num_cpus": 2, "num_gpus": 0, "max_restarts": 0}]
    assert "1 of 3 workers are started: there are no more parts to score" in said
    cluster.resources = {"CPU": 8.0, "GPU": 2.0}
    score_files(replace(config, ray_workers=None, overwrite=True))
    assert cluster.options[1:] == [{"num_cpus": 1, "num_gpus": 1, "max_restarts": 0}] * 2
    with pytest.raises(ConfigError, match="ray-workers is 3, and there are 2 GPUs"):
        score_files(replace(config, overwrite=True))
    cluster.resources = {"CPU": 2.0}
    with pytest.raises(ConfigError, match="ray-workers is 3, and there are 2 processors"):
        score_files(replace(config, overwrite=True))


def test_the_users_own_ray_is_left_running(cluster: Cluster, config: ScoreConfig) -> None:
    cluster.on = True
    score_files(config)
    assert cluster.on
    assert len(cluster.killed) == 3


def test_without_ray_it_is_said_how_to_get_it(config: ScoreConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'palate\[ray\]'"):
        score_files(config)


def kill_driver(config: ScoreConfig) -> None:
    """Run the command, and kill it when a window of the first part is on disk."""
    command = [sys.executable, "-m", "palate", "score", config.model, "--data", *config.data, "--out", config.out]
    command += ["--engine", "ray", "--ray-workers", "1"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    partial = Path(config.out) / "a.jsonl.partial"
    end = time.monotonic() + 120
    while not (partial.exists() and partial.read_bytes().count(b"\n") > score_file.WINDOW):
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)
    driver.kill()
    driver.communicate()


@pytest.mark.slow
def test_a_killed_driver_and_a_killed_worker_leave_the_same_bytes(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr("palate.score_parts.run._SHOW_EVERY", -1.0)
    data = tmp_path / "data"
    write_jsonl(data / "a.jsonl", rows_of(4 * score_file.WINDOW, 1))
    write_jsonl(data / "b.jsonl.gz", rows_of(20, 2))
    write_jsonl(data / "c.jsonl", rows_of(30, 3))
    config = ScoreConfig(model=model, data=(str(data),), out=str(tmp_path / "out"), engine="ray", ray_workers=2)
    kill_driver(config)
    workers: list[int] = []
    said: list[str] = []
    killed = False

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("worker: process "):
            workers.append(int(line.split()[2]))

    def kill_the_first(progress: Any) -> None:
        nonlocal killed
        if not killed and progress.prompts >= score_file.WINDOW:  # only the first part has so many
            killed = True
            os.kill(workers[0], signal.SIGKILL)

    result = score_files(config, say=say, on_progress=kill_the_first)
    assert (result.failed, result.totals.prompts) == ({}, 4 * score_file.WINDOW + 50)
    assert "warning: the worker of a.jsonl died; another goes on with it" in said
    assert manifest_of(config)["parts"]["a.jsonl"]["result"]["resumed"] >= score_file.WINDOW
    assert files_of(config.out) == files_of(plain(config))
