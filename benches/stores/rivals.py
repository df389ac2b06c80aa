"""The rivals of `benches.compare_stores`, and what is measured of them."""

from dataclasses import dataclass, field
from typing import Any

from benches.rival_process import RivalProcess, RivalResult, RivalSpec
from benches.stores.server import SeaweedServer

_FORMATS = {"tfrecord": "TFRecord", "hdf5": "HDF5 encoded", "tar": "tar"}
_MODES = {
    "local": "local disk",
    "warm": "warm cache",
    "cold": "cold cache",
    "block": "blocks",
    "none": "no cache",
}


def _spec(name: str, module: str, environment: str, variant: str, mode: str) -> RivalSpec:
    """Return a rival whose runs with a cold cache are each the first of a new process."""
    title = f"{name}, {_MODES.get(mode, mode)}"
    return RivalSpec(title, f"stores.{module}", environment, variant, is_fresh=mode == "cold")


def _of(name: str, module: str, *variants: str, environment: str = "stores") -> list[RivalSpec]:
    return [_spec(name, module, environment, variant, variant) for variant in variants]


# The first one is the baseline.
RIVALS = (
    *(
        _spec(f"fastpack {title}", "fastpack", "", f"{form}/{mode}", mode)
        for form, title in _FORMATS.items()
        for mode in _MODES
    ),
    RivalSpec("plain download", "stores.plain_ranges"),
    *_of("LitData", "litdata", "local", "warm", "cold"),
    *_of("MosaicML Streaming", "mosaicml", "local", "warm", "cold"),
    *_of("WebDataset", "webdataset", "local", "pipe", "fsspec"),
    *_of("S3 connector for PyTorch", "s3_connector", "none"),
    *_of("tf.data", "tensorflow", "local", "none", environment="stores-tensorflow"),
)


@dataclass
class StoreResult(RivalResult):
    """A rival's figures, with what it took from the store and from the processor.

    Args:
        cpu: seconds of the processor by round, of the rival and its workers.
        requests: by round, as the server counted them.
        received: bytes by round, as the server counted them.
    """

    cpu: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)


class StoreProcess(RivalProcess):
    """A rival of which the server's counters are read as well."""

    result_type = StoreResult

    def __init__(self, server: SeaweedServer, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._server = server

    def run_round(self) -> None:
        self.prepare_run()
        traffic, cpu = self._server.traffic(), self.cpu_seconds()
        super().run_round()
        cpu, traffic = self.cpu_seconds() - cpu, self._server.traffic().since(traffic)
        assert isinstance(self.result, StoreResult)
        self.result.cpu.append(cpu)
        self.result.requests.append(traffic.requests.total())
        self.result.received.append(traffic.num_bytes)

    def measure_memory(self) -> None:
        """Leave it out: a run more of each rival would take as long as a round."""
