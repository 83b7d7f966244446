"""A worker process. Argument: the server's address."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

from flows import TASKS, Chain, Fan, LocalChain, LocalFan, join, step
from temporalio.client import Client
from temporalio.worker import Worker

THREADS = 100


async def main() -> None:
    client = await Client.connect(sys.argv[1])
    with ThreadPoolExecutor(THREADS) as threads:
        worker = Worker(
            client,
            task_queue=TASKS,
            workflows=[Chain, Fan, LocalChain, LocalFan],
            activities=[step, join],
            activity_executor=threads,
        )
        await worker.run()


asyncio.run(main())
