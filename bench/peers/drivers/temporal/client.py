"""Arguments: the server's address, its version, and whether steps are `local` activities."""

import asyncio
import itertools
import os
import sys
from importlib.metadata import version

from conversation import LIGHT, converse, in_tasks
from flows import TASKS, Chain, Fan, LocalChain, LocalFan
from temporalio.client import Client

address, server, kind = sys.argv[1:]
chains, fans = (LocalChain, LocalFan) if kind == "local" else (Chain, Fan)
ids = (f"{os.getpid()}-{number}" for number in itertools.count())

with asyncio.Runner() as loop:
    client = loop.run(Client.connect(address))

    async def execute(workflow, steps: int, n: int) -> int:
        return await client.execute_workflow(workflow.run, args=[steps, n], id=next(ids), task_queue=TASKS)

    def chain(steps: int, n: int) -> int:
        return loop.run(execute(chains, steps, n))

    def fan(steps: int, n: int) -> int:
        return loop.run(execute(fans, steps, n))

    def many(in_flight, window) -> None:
        loop.run(in_tasks(lambda: execute(chains, 1, LIGHT), in_flight, window))

    converse(f"{server} (SDK {version('temporalio')})", {"chain40": chain, "fan100": fan, "heavy10": chain}, many)
