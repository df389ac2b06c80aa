"""Committed ratios: time of each kernel as a multiple of its reference's."""

import hashlib
import json
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "baseline.json"


@dataclass(frozen=True)
class Baselines:
    """Committed ratios of machines.

    - machines: machine name -> case -> ratio.
    - tolerances: case or "default" -> allowed slowdown, half of what must be detected.
    """

    machines: dict[str, dict[str, float]]
    tolerances: dict[str, float]

    @classmethod
    def load(cls) -> "Baselines":
        stored: dict[str, Any] = json.loads(_FILE.read_text())
        return cls(stored["machines"], stored["tolerances"])

    def tolerance(self, name: str) -> float:
        return self.tolerances.get(name, self.tolerances["default"])

    def renew(self, machine: str, ratios: Mapping[str, float]) -> None:
        """Save ratios of one machine; keep other machines and cases."""
        machines = self.machines | {
            machine: self.machines.get(machine, {})
            | {name: round(ratio, 4) for name, ratio in ratios.items()}
        }
        _FILE.write_text(
            json.dumps({"tolerances": self.tolerances, "machines": machines}, indent=1) + "\n"
        )


def machine_name() -> str:
    """Return what ratios depend on: processor, compiler and versions of libraries."""
    libraries = ["libjpeg", "libdeflate", "liblz4", "libzstd"]
    versions = _output_of("pkg-config", "--modversion", *libraries).split()
    compiler = _output_of("cc", "-dumpfullversion")
    parts = [
        _processor(),
        f"cc {compiler}",
        *(f"{name} {version}" for name, version in zip(libraries, versions, strict=False)),
    ]
    return ", ".join(
        [
            *parts,
            f"Python {platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}",
        ]
    )


def _processor() -> str:
    """Return vendor, family, model and a digest of the flags; cloud machines' names vary."""
    facts = dict(
        re.findall(
            r"^(vendor_id|cpu family|model|flags|Features)\s*: (.*)$",
            Path("/proc/cpuinfo").read_text(),
            re.MULTILINE,
        )
    )
    numbers = [facts[name] for name in ("vendor_id", "cpu family", "model") if name in facts]
    abilities = " ".join(sorted(facts.get("flags", facts.get("Features", "")).split()))
    return " ".join(
        [platform.machine(), *numbers, hashlib.sha256(abilities.encode()).hexdigest()[:6]]
    )


def _output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return "unknown"
