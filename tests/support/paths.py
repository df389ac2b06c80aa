"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "support" / "data" / "golden"
JPEGS = ROOT / "tests" / "support" / "data" / "jpegs"
