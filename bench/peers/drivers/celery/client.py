"""Submits to Celery and reads the results from its Redis, from one thread: its results are not for several."""

from collections import deque
from importlib.metadata import version

from celery import chain as chain_of
from celery import chord
from conversation import LIGHT, converse
from worker import app, follow, join, step

WAIT_SECONDS = 120


def chain(steps: int, n: int) -> int:
    parts = [follow.s(0, n), *(follow.s(n) for _ in range(steps - 1))]
    return chain_of(*parts).apply_async().get(timeout=WAIT_SECONDS)


def fan(steps: int, n: int) -> int:
    return chord([step.s(n) for _ in range(steps)])(join.s()).get(timeout=WAIT_SECONDS)


def many(in_flight, window) -> None:
    """A queue of so many results: the oldest is read, and another run submitted for it."""
    waiting = deque(step.delay(LIGHT) for _ in range(in_flight))
    while waiting:
        window.ended(waiting.popleft().get(timeout=WAIT_SECONDS))
        if window.open():
            waiting.append(step.delay(LIGHT))


with app.connection_for_read() as connection:
    redis = connection.default_channel.client.info("server")["redis_version"]
converse(f"{version('celery')} (Redis {redis})", {"chain40": chain, "fan100": fan, "heavy10": chain}, many)
