"""moto, a store in Python that honors preconditions; from PyPI as moto[s3] with flask."""

import sys
from importlib.util import find_spec

import pytest

from tests.support.stores.s3_server import S3Server
from tests.support.stores.server import Process, answers, free_ports


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
