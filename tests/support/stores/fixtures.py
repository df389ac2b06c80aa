"""Fixtures of the servers: each starts once in a process of pytest, when a test first asks for it.

With pytest-xdist each worker has its own servers. SeaweedFS is ready after 1.2 s and takes 110 MB;
one server for all workers would need a lock and an owner.
"""

import contextlib
from collections.abc import Iterator

import pytest

from tests.support.stores.azurite import AzuriteServer
from tests.support.stores.moto import MotoAsGcs, MotoServer
from tests.support.stores.nginx import NginxServer
from tests.support.stores.rclone import RcloneHttpServer, RcloneServer
from tests.support.stores.seaweed import SeaweedServer
from tests.support.stores.store_server import StoreServer

_SERVERS: list[type[StoreServer]] = [
    SeaweedServer,
    RcloneServer,
    MotoServer,
    MotoAsGcs,
    AzuriteServer,
    NginxServer,
    RcloneHttpServer,
]
_STARTS = 3
SERVERS = {server.name: server for server in _SERVERS}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator["RunningServers"]:
    """Servers by name, started when they are first asked for."""
    running = RunningServers(tmp_path_factory)
    yield running
    running.close()


class RunningServers:
    """The servers of this process."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._running: dict[str, StoreServer] = {}
        self._missing: dict[str, str] = {}

    def __getitem__(self, name: str) -> StoreServer:
        """Returns a running server without rules; skips the test if it cannot be installed."""
        if name in self._missing:
            pytest.skip(self._missing[name])
        if name not in self._running:
            try:
                self._running[name] = self._started(name)
            except pytest.skip.Exception as missing:
                self._missing[name] = str(missing)
                raise
        self._running[name].proxy.forget()
        return self._running[name]

    def _started(self, name: str) -> StoreServer:
        """Starts a server. Another process may take one of its ports first; then tries again."""
        for _ in range(_STARTS - 1):
            with contextlib.suppress(pytest.fail.Exception):
                return SERVERS[name](self._folders.mktemp(name))
        return SERVERS[name](self._folders.mktemp(name))

    def close(self) -> None:
        for server in self._running.values():
            server.close()


@pytest.fixture
def reachable(servers: RunningServers, monkeypatch: pytest.MonkeyPatch) -> "Reach":
    """Calling it with a name starts that server and sets the environment for its clients."""
    return Reach(servers, monkeypatch)


class Reach:
    def __init__(self, servers: RunningServers, monkeypatch: pytest.MonkeyPatch) -> None:
        self._servers, self._monkeypatch = servers, monkeypatch

    def __call__(self, name: str) -> StoreServer:
        server = self._servers[name]
        for variable, value in server.environment.items():
            self._monkeypatch.setenv(variable, value)
        return server
