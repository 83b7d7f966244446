"""The work of every step, the same function for all: fibonacci the slow way, for its cost and not for its result."""


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
