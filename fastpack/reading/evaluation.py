"""Evaluation of lazy columns and their expressions, in blocks of rows."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.formats.index.arrays import Column

# Rows of a block: 2 MB of int64. A power of two, so that every block begins where numpy's vector
# loops over the whole array would begin a vector: results are the same bit by bit.
BLOCK_ROWS = 2**18
# Rows of a block with text or lists: a str takes about 100 bytes.
RAGGED_BLOCK_ROWS = 2**14


class Node(Protocol):
    """A column, or a function of other nodes; all nodes of a tree have the same rows."""

    operands: Sequence[Any]  # nodes and constants
    depth: int  # operations from the columns to here

    def prototype(self) -> Column:
        """Return no rows: an empty array, Text or Ragged, which shows the type."""
        ...

    def computed(self, rows: Rows, operands: Sequence[Any]) -> Column:
        """Return the values at `rows`, from the operands' values there."""
        ...


class Plan:
    """The order in which the nodes of a tree are computed, each once for a block."""

    def __init__(self, root: Any, node_type: type) -> None:
        self._node_type = node_type
        self._nodes = self._in_order(root)
        self._done_after = self._last_uses()
        has_lists = any(
            isinstance(node.prototype(), Ragged) for node in self._nodes if not node.operands
        )
        self._block_rows = RAGGED_BLOCK_ROWS if has_lists else BLOCK_ROWS

    def pieces(self, rows: "range | Rows") -> Iterator[Column]:
        """Yield the values at `rows`, block after block; one empty block if there are no rows."""
        for first in range(0, max(len(rows), 1), self._block_rows):
            block = rows[first : first + self._block_rows]
            if isinstance(block, range):
                block = np.arange(block.start, block.stop, block.step, np.int64)
            yield self._computed(block)

    def _computed(self, rows: Rows) -> Column:
        values: dict[int, Any] = {}
        for node, done in zip(self._nodes, self._done_after, strict=True):
            operands = [
                values[id(operand)] if isinstance(operand, self._node_type) else operand
                for operand in node.operands
            ]
            values[id(node)] = node.computed(rows, operands)
            for number in done:
                del values[number]
        result: Column = values[id(self._nodes[-1])]
        return result

    def _in_order(self, root: Any) -> list[Any]:
        """Return all nodes, operands first.

        The deepest operand comes first. So a chain of a thousand terms, grown at either end, keeps
        a few blocks in memory.
        """
        order, seen, stack = [], set(), [(root, False)]
        while stack:
            node, is_ready = stack.pop()
            if is_ready:
                order.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((node, True))
                children = self._children(node)
                stack.extend((child, False) for child in sorted(children, key=lambda n: n.depth))
        return order

    def _children(self, node: Any) -> list[Any]:
        return [operand for operand in node.operands if isinstance(operand, self._node_type)]

    def _last_uses(self) -> list[list[int]]:
        """Return the ids of the nodes that no later node needs, for each node."""
        last = {
            id(child): place
            for place, node in enumerate(self._nodes)
            for child in self._children(node)
        }
        done: list[list[int]] = [[] for _ in self._nodes]
        for number, place in last.items():
            done[place].append(number)
        return done
