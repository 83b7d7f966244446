"""The client runs the flows itself and reports to the server, as a Prefect flow does."""

import os
from importlib.metadata import version

from conversation import LIGHT, converse, in_threads
from fibonacci import fibonacci
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner


# By default a step with the arguments of another in the run is not run at all.
@task(cache_policy=NO_CACHE)
def step(n: int) -> int:
    return fibonacci(n)


@task(cache_policy=NO_CACHE)
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
