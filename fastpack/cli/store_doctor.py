"""The part of `fastpack doctor` about a store."""

from fastpack.cli.formatting import aligned
from fastpack.core.plural import counted
from fastpack.core.units import readable_size
from fastpack.inspection.store_doctor import StoreDiagnosis, StoreOrder, price
from fastpack.inspection.store_speed import StoreSpeed

_CONDITIONS = {
    "honored": "conditional writes are honored: two packs cannot take one output",
    "ignored": "conditional writes are ignored: start only one pack for each output",
    "read-only": "nothing can be written here: datasets can be read only",
}


def store_lines(store: StoreDiagnosis) -> list[str]:
    """Format the speed of a store, and what each order takes from it."""
    speed, rate = store.speed, store.samples_per_second
    cells = [
        ("reading from the store", "images/s", "requests/epoch", "at AWS", "at once", "window")
    ]
    return [
        f"store of {store.url}: {counted(store.num_files, 'file')}, "
        f"{readable_size(store.num_bytes)}",
        *aligned([("requests at once", "bytes/s"), *_level_cells(speed)]),
        f"latency {1000 * speed.latency:.1f} ms; measured with "
        f"{counted(speed.num_requests, 'request')}, {readable_size(speed.num_bytes)}",
        _CONDITIONS[store.conditions],
        f"training at {rate:,.0f} images/s has {counted(store.samples_ahead, 'image')} under way",
        *aligned([*cells, *map(_order_cells, store.orders)]),
    ]


def _level_cells(speed: StoreSpeed) -> list[tuple[str, str]]:
    def mark(number: int) -> str:
        return "  <- enough" if number == speed.best.num_requests else ""

    return [
        (
            f"{level.num_requests:,}",
            f"{readable_size(int(level.bytes_per_second))}{mark(level.num_requests)}",
        )
        for level in speed.levels
    ]


def _order_cells(order: StoreOrder) -> tuple[str, ...]:
    return (
        order.name,
        f"{order.samples_per_second:,.0f}",
        f"{order.num_requests:,}",
        price(order.dollars),
        f"{order.at_once:,}",
        readable_size(order.window_bytes) if order.window_bytes else "",
    )
