"""The workflows and the activity, which every step is one of."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from fibonacci import fibonacci

TASKS = "work"
TIMEOUT = timedelta(minutes=2)


@activity.defn
def step(n: int) -> int:
    return fibonacci(n)


@activity.defn
def join(results: list[int]) -> int:
    return sum(results)


@workflow.defn
class Chain:
    @workflow.run
    async def run(self, steps: int, n: int) -> int:
        total = 0
        for _ in range(steps):
            total += await workflow.execute_activity(step, n, start_to_close_timeout=TIMEOUT)
        return total


@workflow.defn
class Fan:
    @workflow.run
    async def run(self, steps: int, n: int) -> int:
        parts = [workflow.execute_activity(step, n, start_to_close_timeout=TIMEOUT) for _ in range(steps)]
        results = await asyncio.gather(*parts)
        return await workflow.execute_activity(join, results, start_to_close_timeout=TIMEOUT)


@workflow.defn
class LocalChain:
    @workflow.run
    async def run(self, steps: int, n: int) -> int:
        total = 0
        for _ in range(steps):
            total += await workflow.execute_local_activity(step, n, start_to_close_timeout=TIMEOUT)
        return total


@workflow.defn
class LocalFan:
    @workflow.run
    async def run(self, steps: int, n: int) -> int:
        parts = [workflow.execute_local_activity(step, n, start_to_close_timeout=TIMEOUT) for _ in range(steps)]
        results = await asyncio.gather(*parts)
        return await workflow.execute_local_activity(join, results, start_to_close_timeout=TIMEOUT)
