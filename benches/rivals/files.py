"""The plainest packers: cat and tar of a list of files."""

import os
import subprocess

from benches.rivals.protocol import Task, Workload, packing, serve


def pack(task: Task) -> Workload:
    names = task.file("names")
    with open(names, "wb") as file:
        file.write(b"\0".join(os.fsencode(path) for path in task.paths))

    def cat(folder: str) -> None:
        with open(f"{folder}/cat", "xb") as file:
            subprocess.run(["xargs", "-0", "-a", names, "cat"], stdout=file, check=True)

    def tar(folder: str) -> None:
        options = [
            "--null",
            "--hard-dereference",
            "--no-recursion",
            "--absolute-names",
            f"--files-from={names}",
        ]
        subprocess.run(["tar", "-c", "-f", f"{folder}/tar", *options], check=True)

    return packing(task, {"cat": cat, "tar": tar}[task.variant])


if __name__ == "__main__":
    serve("", {"pack": pack})
