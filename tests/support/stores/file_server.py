"""Servers of plain files: the folder is what they store."""

from pathlib import Path

from tests.support.stores.store_server import Stored, StoreServer


class FileServer(StoreServer):
    """A server that only reads; the test writes its files."""

    scheme = "http"
    is_read_only = True

    @property
    def root(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return self.proxy.address

    def _make_bucket(self) -> None:
        pass

    def environment_of(self, address: str) -> dict[str, str]:
        return {"NO_PROXY": "127.0.0.1"}

    def options_of(self, address: str) -> dict[str, str | bool]:
        return {"allow_http": True}

    def put(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_bytes(data)
        new.replace(path)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def delete(self, key: str) -> None:
        (self.root / key).unlink()

    def objects(self, prefix: str = "") -> list[Stored]:
        files = [path for path in self.root.rglob("*") if path.is_file()]
        found = [Stored(str(path.relative_to(self.root)), path.stat().st_size) for path in files]
        return sorted((at for at in found if at.key.startswith(prefix)), key=lambda at: at.key)
