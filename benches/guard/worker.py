"""Process that runs guarded cases on request.

Input: "CASE<tab>kernel" or "CASE<tab>reference". Output: processor seconds, or "failed" and the
reason. Time in which the process waited for the processor does not count.
"""

import sys
import time
from pathlib import Path

from benches.guard.cases import CASES, Case, Inputs


def main() -> None:
    inputs, cases = Inputs(Path(sys.argv[1])), dict[str, Case]()
    for line in sys.stdin:
        name, side = line.rstrip("\n").split("\t")
        try:
            if name not in cases:
                cases[name] = CASES[name](inputs)
            work = getattr(cases[name], side)
            started = time.process_time()
            work()
            answer = str(time.process_time() - started)
        except Exception as error:
            answer = f"failed {type(error).__name__}: {error}".splitlines()[0]
        print(answer, flush=True)


if __name__ == "__main__":
    main()
