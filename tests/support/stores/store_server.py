"""Base of all servers: its root, ways to reach it, and an independent view of its objects."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.stores.fault_proxy import FaultProxy
from tests.support.stores.server import Process
from tests.support.stores.wire import Head


@dataclass(frozen=True)
class Stored:
    """An object as the server itself sees it."""

    key: str
    size: int


class StoreServer(ABC):
    """A store that runs until it is closed, with one bucket, before which stands a proxy.

    Clients that use `environment` reach it through `proxy`, whose rules make it fail. `put`,
    `read`, `delete` and `objects` go past the proxy, and do not use the client under test.
    """

    name: str
    bucket: str
    scheme = "s3"
    # Whether it honors If-None-Match and If-Match.
    honors_preconditions = True
    is_read_only = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process, port = self._start()
        self.proxy = FaultProxy(("127.0.0.1", port), translate=self.translate)
        self.direct = f"http://127.0.0.1:{port}"
        self._make_bucket()

    def translate(self, request: Head) -> None:  # noqa: B027 (most servers change nothing)
        """Changes a client's request, if the server has another dialect."""

    @property
    def url(self) -> str:
        """The root of the bucket, without a slash at the end."""
        return f"{self.scheme}://{self.bucket}"

    @abstractmethod
    def _start(self) -> tuple[Process, int]:
        """Starts the program; returns it when it is ready, with its port."""

    @abstractmethod
    def _make_bucket(self) -> None:
        """Makes the bucket."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which any client of this kind of store reaches the proxy."""
        return self.environment_of(self.proxy.address)

    @abstractmethod
    def environment_of(self, address: str) -> dict[str, str]:
        """Variables with which a client reaches an address, which stands for this server."""

    @property
    def options(self) -> dict[str, str | bool]:
        """Options of a fastpack store that reaches the proxy, whatever the environment."""
        return self.options_of(self.proxy.address)

    @abstractmethod
    def options_of(self, address: str) -> dict[str, str | bool]:
        """Options with which a fastpack store reaches an address, which stands for this server."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Stores an object, whatever was there."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Returns an object's bytes."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Removes an object."""

    @abstractmethod
    def objects(self, prefix: str = "") -> list[Stored]:
        """Returns all objects whose key begins so, by key."""

    def num_requests(self) -> Counter[str] | None:
        """How many requests of each kind the server itself counted; None if it does not count."""
        return None

    def close(self) -> None:
        self.proxy.close()
        self.process.stop()
