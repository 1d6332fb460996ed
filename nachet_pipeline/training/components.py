"""Which of very many members are connected: components as arrays."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_EDGES_KEPT = 1 << 20


class Components:
    """Members, and edges between them that are taken in many at a time."""

    def __init__(self, size: int) -> None:
        self.root = np.arange(size)
        """The smallest member of each one's component, as of the last `connect`."""
        self._edges: list[Indices] = []
        self._edges_kept = 0

    def add(self, one: Indices, other: Indices) -> None:
        """Add edges; they count from the next `connect` on."""
        self._edges.append(np.column_stack((one, other)))
        self._edges_kept += one.size
        if self._edges_kept > _EDGES_KEPT:
            self.connect()

    def connect(self) -> None:
        """Join what the edges connect."""
        edges, self._edges, self._edges_kept = self._edges, [], 0
        if edges:
            unite(self.root, np.concatenate(edges))

    def apart(self, one: Indices, other: Indices) -> NDArray[np.bool_]:
        """Which pairs are not connected, as of the last `connect`."""
        return np.asarray(self.root[one] != self.root[other])


def unite(root: Indices, edges: Indices) -> None:
    """Join components, in place.

    Args:
        root: (n,) for each member the smallest of its component; afterwards those of the joined components.
        edges: (m, 2) pairs of members to join.
    """
    one, other = root[edges[:, 0]], root[edges[:, 1]]
    while True:
        apart = one != other
        one, other = one[apart], other[apart]
        if not one.size:
            return
        # Each root that has a smaller neighbour follows the smallest: of every joined component at least half go.
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while True:
            further = root[root]
            if np.array_equal(further, root):
                break
            root[:] = further
        one, other = root[one], root[other]


def equal_codes(codes: Indices) -> Indices:
    """(m, 2) pairs that connect all members with an equal code; a code below 0 is equal to none."""
    known = np.flatnonzero(codes >= 0)
    order = known[np.argsort(codes[known], kind="stable")]
    equal = codes[order[1:]] == codes[order[:-1]]
    return np.column_stack((order[:-1][equal], order[1:][equal]))
