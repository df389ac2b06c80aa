"""moto, a store in Python that honors preconditions; from PyPI as moto[s3] with flask."""

import json
import sys
from importlib.util import find_spec
from urllib.parse import quote, unquote

import pytest

from tests.support.stores.s3_server import S3Server
from tests.support.stores.server import Process, answers, free_ports
from tests.support.stores.wire import Head


class MotoServer(S3Server):
    """All in memory, no signatures checked: it is for what is tested in little time."""

    name, bucket = "moto", "moto-bucket"

    def _start(self) -> tuple[Process, int]:
        for needed in ("moto", "flask", "flask_cors"):
            if find_spec(needed) is None:
                pytest.skip(f"{needed} is not installed; pip install --group test")
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = Process(command, self.folder)
        process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/moto-api/"))
        return process, port


# moto reads the service from it, and checks no signature.
_ANYBODY = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


class MotoAsGcs(MotoServer):
    """moto for clients of Google Cloud Storage, whose XML interface is nearly that of S3.

    No emulator of GCS that installs here has that interface, which obstore uses. The proxy
    translates preconditions and paths; moto checks no signatures. Generations are not imitated.
    """

    name, bucket, scheme = "moto-as-gcs", "gcsbucket", "gs"

    def translate(self, request: Head) -> None:
        method, target, version = request.line.split(" ", 2)
        path, mark, query = target.partition("?")
        path = quote(unquote(path), safe="/~")
        request.line = f"{method} {path}{mark}{query} {version}"
        request.set("Authorization", _ANYBODY)
        if request.get("x-goog-if-generation-match") == "0":
            request.set("If-None-Match", "*")

    def environment_of(self, address: str) -> dict[str, str]:
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": _account_at(address), "NO_PROXY": "127.0.0.1"}

    def options_of(self, address: str) -> dict[str, str | bool]:
        return {"service_account_key": _account_at(address), "allow_http": True}


def _account_at(address: str) -> str:
    nothing = {"client_email": "", "private_key": "", "private_key_id": ""}
    return json.dumps({"gcs_base_url": address, "disable_oauth": True, **nothing})
