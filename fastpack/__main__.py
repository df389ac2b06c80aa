"""The console entry, and `python -m fastpack`: the command line."""

import sys


def run() -> None:
    """Run the command line. Ctrl-C during its import ends it without a traceback."""
    try:
        from fastpack.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main(prog_name="fastpack")


if __name__ == "__main__":
    run()
