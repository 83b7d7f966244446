"""The floor: the same functions called by nothing but Python, nothing recorded."""

import platform

from conversation import converse
from fibonacci import fibonacci


def chain(steps: int, n: int) -> int:
    return sum(fibonacci(n) for _ in range(steps))


converse(platform.python_version(), {"chain40": chain, "fan100": chain, "heavy10": chain}, None)
