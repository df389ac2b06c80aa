"""The programs are only checked, not run."""

collect_ignore = ["right_calls.py", "wrong_calls.py"]
