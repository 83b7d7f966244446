"""The client runs the flows itself and reports to the server, as a Prefect flow does."""

import os
from importlib.metadata import version

from conversation import LIGHT, converse, in_threads
from fibonacci import fibonacci
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner


@task
def step(n: int) -> int:
    return fibonacci(n)


@task
def join(results: list[int]) -> int:
    return sum(results)


@flow
def chain(steps: int, n: int) -> int:
    return sum(step(n) for _ in range(steps))


@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))
def fan(steps: int, n: int) -> int:
    return join([future.result() for future in [step.submit(n) for _ in range(steps)]])


def many(in_flight, window) -> None:
    in_threads(lambda: chain(1, LIGHT), in_flight, window)


assert os.environ["PREFECT_API_URL"], "otherwise it would start a server of its own"
converse(version("prefect"), {"chain40": chain, "fan100": fan, "heavy10": chain}, many)
