"""`python -m fastpack`: the command line."""

from fastpack.cli import main

if __name__ == "__main__":
    main(prog_name="fastpack")
