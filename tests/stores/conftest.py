"""Stores to test: one for each server, reached through its proxy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fastpack.stores.registry import options_of, store_at
from fastpack.stores.store import Store
from tests.support.stores.fixtures import RunningServers
from tests.support.stores.store_server import StoreServer

pytest.importorskip("obstore", reason="pip install obstore")

# Enough for a busy machine; no test waits for it but those that must.
_PATIENCE = {"timeout": 15, "deadline": 30}


@dataclass
class Reached:
    """A store under test, its server, and keys that are this test's own."""

    store: Store
    server: StoreServer
    prefix: str

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def names(self) -> list[str]:
        """Names of this test's objects that the server really has."""
        return [at.key[len(self.prefix) + 1 :] for at in self.server.objects(f"{self.prefix}/")]

    def put(self, name: str, data: bytes = b"0123456789") -> str:
        """Stores an object past the client under test; returns its key."""
        self.server.put(self.key(name), data)
        return self.key(name)

    def with_options(self, **options: Any) -> "Reached":
        changed = {**self.server.options, **_PATIENCE, **options}
        return Reached(store_at(self.server.url, options_of(changed)), self.server, self.prefix)


_numbers = iter(range(1_000_000))


@pytest.fixture
def reach(servers: RunningServers) -> Callable[..., Reached]:
    """Calling it with the name of a server returns its store."""

    def reached(name: str, **options: Any) -> Reached:
        server = servers[name]
        return Reached(None, server, f"test-{next(_numbers)}").with_options(**options)

    return reached
