"""Submits to Restate's ingress over HTTP, with connections kept open."""

import asyncio
import sys
from importlib.metadata import version

import aiohttp
from conversation import LIGHT, converse, in_tasks

ingress = sys.argv[1]


async def connect() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(ingress, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(120))


with asyncio.Runner() as loop:
    session = loop.run(connect())

    async def call(handler: str, steps: int, n: int) -> int:
        async with session.post(f"/work/{handler}", json={"steps": steps, "n": n}) as answer:
            answer.raise_for_status()
            return await answer.json()

    def chain(steps: int, n: int) -> int:
        return loop.run(call("chain", steps, n))

    def fan(steps: int, n: int) -> int:
        return loop.run(call("fan", steps, n))

    def many(in_flight, window) -> None:
        loop.run(in_tasks(lambda: call("chain", 1, LIGHT), in_flight, window))

    server, sdk = sys.argv[2], version("restate-sdk")
    converse(f"{server} (SDK {sdk})", {"chain40": chain, "fan100": fan, "heavy10": chain}, many)
    loop.run(session.close())
