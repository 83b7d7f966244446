"""Arguments: the database's URL, and for the queue the seconds between two looks for a result."""

import asyncio
import sys

from conversation import LIGHT, converse, in_threads
from dbos import DBOS, DBOSClient
from flows import QUEUE, VERSION, application, chain, fan


def in_process(url: str) -> None:
    """The client runs the workflows itself."""
    application(url)
    DBOS.launch()
    with asyncio.Runner() as loop:
        converse(
            VERSION,
            {"chain40": chain, "fan100": lambda steps, n: loop.run(fan(steps, n)), "heavy10": chain},
            lambda in_flight, window: in_threads(lambda: chain(1, LIGHT), in_flight, window),
        )
    DBOS.destroy()


def through_queue(url: str, seconds: float) -> None:
    """The client puts workflows into the queue of a worker."""
    client = DBOSClient(system_database_url=url)

    def run(workflow: str, steps: int, n: int) -> int:
        handle = client.enqueue({"workflow_name": workflow, "queue_name": QUEUE}, steps, n)
        return handle.get_result(polling_interval_sec=seconds)

    def chain_queued(steps: int, n: int) -> int:
        return run("chain", steps, n)

    converse(
        VERSION,
        {"chain40": chain_queued, "fan100": lambda steps, n: run("fan", steps, n), "heavy10": chain_queued},
        lambda in_flight, window: in_threads(lambda: run("chain", 1, LIGHT), in_flight, window),
    )
    client.destroy()


if len(sys.argv) == 2:
    in_process(sys.argv[1])
else:
    through_queue(sys.argv[1], float(sys.argv[2]))
