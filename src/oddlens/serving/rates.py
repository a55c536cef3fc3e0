"""False-alarm rates to choose from."""

from __future__ import annotations

_MOST = 0.5
_GROWTH = 1.1


def ranks_offered(held_out: int) -> list[int]:
    """The k of the false-alarm rates k / (n + 1) that a slider offers. Our choice.

    Each small one, then ever fewer up to a half, so that their number grows with the logarithm of
    n: 51 for a thousand, and 124 for a million.

    Args:
        held_out: n, at least 1.

    Returns:
        Ascending, from 1.
    """
    last = max(1, int(_MOST * (held_out + 1)))
    ranks, rank = [], 1
    while rank <= last:
        ranks.append(rank)
        rank = max(rank + 1, round(rank * _GROWTH))
    return ranks
