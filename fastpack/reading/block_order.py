"""BlockOrder: a shuffled order that reads whole blocks of neighbors, a window of them at a time."""

from dataclasses import dataclass

import numpy as np

from fastpack.reading.permutation import (
    MEMBERS,
    PARTS,
    SHUFFLE,
    EpochKeys,
    Numbers,
    permuted,
    permuted_within,
)
from fastpack.reading.picks import Picks


@dataclass(frozen=True, eq=False)
class _Places:
    """Where some positions of an epoch lie; all are (n,) int64.

    - rows: the row within the window.
    - tweaks: the number of the row in the epoch.
    - columns, widths: the column in the row, and how many columns the row has.
    - first_visits: the number of the window's first block in the epoch.
    """

    rows: Numbers
    tweaks: Numbers
    columns: Numbers
    widths: Numbers
    first_visits: Numbers


class BlockOrder:
    """Position -> (row, column) -> (visit, offset in the block) -> sample.

    A block is `block` neighbors. Blocks come in random order; a visit is the place of a block in
    it. Each `window` visits make a window, which is divided into rows. A row has one sample of
    each of the window's blocks, in random order. So all blocks of a window are used evenly.

    - The numbers of blocks of two windows differ by at most one. So the last window is not small.
    - A last block that is short is visited last. It is missing in the last rows of its window.
    - A random shift of sample numbers in each epoch lets blocks begin elsewhere.

    Args:
        num_samples: samples of the dataset.
        seed: 0 <= seed < 2**64.
        block: samples of a block.
        window: the highest number of blocks in a window.
    """

    def __init__(self, num_samples: int, seed: int, block: int, window: int) -> None:
        self.num_positions = num_samples
        self.block = max(1, min(block, num_samples))
        self._num_whole = num_samples // self.block
        self._num_visits = -(-num_samples // self.block)
        self._num_windows = max(1, -(-self._num_visits // window))
        # The first windows have one more block than the others.
        self._window, self._num_larger = divmod(self._num_visits, self._num_windows)
        self._row_keys, self._block_keys = EpochKeys(seed, SHUFFLE), EpochKeys(seed, PARTS)
        self._offset_keys = EpochKeys(seed, MEMBERS)

    def samples_at(self, epoch: int, positions: Numbers) -> Picks:
        """Return the samples at `positions` (n,) of an epoch."""
        places = self._places(positions)
        visits = places.first_visits + self._in_rows(epoch, places)
        offsets = self._in_blocks(epoch, places.rows, visits)
        numbers = self._blocks(epoch, visits) * self.block + offsets
        samples = (numbers + self._shift(epoch)) % self.num_positions
        return Picks(samples, np.full(len(positions), epoch, np.int64))

    def positions_of(self, epoch: int, samples: Numbers) -> Numbers:
        """Return the positions of samples: the inverse of `samples_at`."""
        numbers = (samples - self._shift(epoch)) % self.num_positions
        blocks, offsets = np.divmod(numbers, self.block)
        visits = self._blocks(epoch, blocks, back=True)
        rows = self._in_blocks(epoch, offsets, visits, back=True)
        windows = self._windows_with(visits)
        first_visits, num_blocks = self._first_visit(windows), self._num_blocks(windows)
        widths = self._widths(rows, num_blocks, first_visits)
        tweaks = windows * self.block + rows
        columns = permuted_within(
            visits - first_visits, widths, tweaks, self._row_keys.of(epoch), back=True
        )
        # Before this row, blocks of fewer rows are complete.
        before = np.minimum(rows, self._short_rows(num_blocks, first_visits))
        in_window = rows * (num_blocks - 1) + before + columns
        return np.asarray(first_visits * self.block + in_window)

    def windows_of(self, positions: Numbers) -> Numbers:
        """Return the number of the window of each position, (n,)."""
        return self._windows_with(positions // self.block)

    def window_at(self, position: int) -> tuple[int, int]:
        """Return the first position and the end of the window that contains a position.

        The samples of these positions are whole blocks, so they are read together.
        """
        window = self.windows_of(np.array([position], np.int64))
        ends = self._first_visit(np.append(window, window + 1)) * self.block
        first, end = ends.tolist()
        return first, min(end, self.num_positions)

    def slots_at(self, epoch: int, positions: Numbers) -> Numbers:
        """Return the number of each position's block within its window, (n,)."""
        return self._in_rows(epoch, self._places(positions))

    def _places(self, positions: Numbers) -> _Places:
        windows = self.windows_of(positions)
        first_visits, num_blocks = self._first_visit(windows), self._num_blocks(windows)
        in_window = positions - first_visits * self.block
        short_rows = self._short_rows(num_blocks, first_visits)
        rows, columns = np.divmod(in_window, num_blocks)
        # After the rows that have all blocks, rows without the short block follow.
        is_narrow = rows >= short_rows
        narrow = np.maximum(num_blocks - 1, 1)
        more_rows, narrow_columns = np.divmod(in_window - short_rows * num_blocks, narrow)
        rows = np.where(is_narrow, short_rows + more_rows, rows)
        columns = np.where(is_narrow, narrow_columns, columns)
        widths = np.where(is_narrow, narrow, num_blocks)
        return _Places(rows, windows * self.block + rows, columns, widths, first_visits)

    def _windows_with(self, visits: Numbers) -> Numbers:
        """Return the number of the window of each visit."""
        num_in_larger = self._num_larger * (self._window + 1)
        return np.asarray(
            np.where(
                visits < num_in_larger,
                visits // (self._window + 1),
                self._num_larger + (visits - num_in_larger) // max(1, self._window),
            )
        )

    def _first_visit(self, windows: Numbers) -> Numbers:
        return np.asarray(windows * self._window + np.minimum(windows, self._num_larger))

    def _num_blocks(self, windows: Numbers) -> Numbers:
        return np.asarray(self._window + (windows < self._num_larger))

    def _short_rows(self, num_blocks: Numbers, first_visits: Numbers) -> Numbers:
        """Return how many rows of a window have all its blocks."""
        has_short = first_visits + num_blocks > self._num_whole
        return np.where(has_short, self.num_positions % self.block, self.block)

    def _widths(self, rows: Numbers, num_blocks: Numbers, first_visits: Numbers) -> Numbers:
        return np.asarray(num_blocks - (rows >= self._short_rows(num_blocks, first_visits)))

    def _in_rows(self, epoch: int, places: _Places) -> Numbers:
        """Permute the columns of each row: the place of the block in its window."""
        keys = self._row_keys.of(epoch)
        return permuted_within(places.columns, places.widths, places.tweaks, keys)

    def _in_blocks(
        self, epoch: int, numbers: Numbers, visits: Numbers, *, back: bool = False
    ) -> Numbers:
        """Permute the samples of each block."""
        short = self.num_positions - self._num_whole * self.block
        sizes = np.where(visits < self._num_whole, self.block, short)
        return permuted_within(numbers, sizes, visits, self._offset_keys.of(epoch), back=back)

    def _blocks(self, epoch: int, numbers: Numbers, *, back: bool = False) -> Numbers:
        """Permute the whole blocks: visit -> number of the block in the dataset."""
        blocks, whole = numbers.copy(), numbers < self._num_whole
        keys = self._block_keys.of(epoch)
        blocks[whole] = permuted(numbers[whole], self._num_whole, keys, back=back)
        return blocks

    def _shift(self, epoch: int) -> int:
        return int(self._row_keys.of(epoch)[0] % np.uint64(self.num_positions))
