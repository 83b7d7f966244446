"""The workflows, for the process that runs them, whichever it is."""

import asyncio
from importlib.metadata import version

from dbos import DBOS, DBOSConfig
from fibonacci import fibonacci

QUEUE = "work"
VERSION = version("dbos")


def application(url: str) -> DBOS:
    config: DBOSConfig = {"name": "peer", "system_database_url": url, "log_level": "ERROR"}
    return DBOS(config=config)


@DBOS.step()
def step(n: int) -> int:
    return fibonacci(n)


@DBOS.step()
async def parallel_step(n: int) -> int:
    return fibonacci(n)


@DBOS.step()
async def join(results: list[int]) -> int:
    return sum(results)


@DBOS.workflow()
def chain(steps: int, n: int) -> int:
    return sum(step(n) for _ in range(steps))


@DBOS.workflow()
async def fan(steps: int, n: int) -> int:
    return await join(await asyncio.gather(*(parallel_step(n) for _ in range(steps))))
