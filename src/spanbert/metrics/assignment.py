"""Which row goes with which column so that the weights of the pairs add up to the most: exact, in O(n^3).

Shortest augmenting paths with potentials (Kuhn 1955; Jonker and Volgenant 1987), all columns at a time.
"""

from __future__ import annotations

import numpy as np


def best_pairs(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns), the pairs of a one-to-one assignment of greatest total, rows ascending.

    `weights` is [R, C] and finite; min(R, C) pairs come back, whatever their weights.
    """
    rows, columns = weights.shape
    if rows > columns:
        found, chosen = best_pairs(weights.T)
        order = np.argsort(chosen)
        return chosen[order], found[order]
    owner = _owners(-weights.astype(np.float64))
    taken = np.flatnonzero(owner >= 0)
    order = np.argsort(owner[taken])
    return owner[taken][order], taken[order]


def _owners(cost: np.ndarray) -> np.ndarray:
    """The row of each column [C], -1 where it has none, at the least total of cost [R, C], R <= C."""
    rows, columns = cost.shape
    owner = np.full(columns + 1, -1)  # the last column is no column: each new row starts its path there
    row_potential, column_potential = np.zeros(rows), np.zeros(columns + 1)
    for row in range(rows):
        owner[columns] = row
        distance, before = np.full(columns, np.inf), np.full(columns, columns)
        reached = np.zeros(columns + 1, dtype=bool)
        here = columns
        while owner[here] >= 0:
            reached[here] = True
            reduced = cost[owner[here]] - row_potential[owner[here]] - column_potential[:columns]
            nearer = ~reached[:columns] & (reduced < distance)
            distance[nearer], before[nearer] = reduced[nearer], here
            nearest = int(np.argmin(np.where(reached[:columns], np.inf, distance)))
            step = distance[nearest]
            row_potential[owner[reached]] += step  # so that the path stays tight and no reduced cost turns negative
            column_potential[reached] -= step
            distance[~reached[:columns]] -= step
            here = nearest
        while here != columns:  # every row on the path moves one column towards its free end
            owner[here] = owner[before[here]]
            here = before[here]
    return owner[:columns]
