"""The Celery application: a task a step, a worker process a core."""

import os

from celery import Celery
from fibonacci import fibonacci

app = Celery("work", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(
    # Otherwise a worker that dies takes the step with it.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def step(n: int) -> int:
    return fibonacci(n)


@app.task
def follow(total: int, n: int) -> int:
    """A step after another: it passes on what there was before it, so that nobody has to look it up."""
    return total + fibonacci(n)


@app.task
def join(results: list[int]) -> int:
    return sum(results)
