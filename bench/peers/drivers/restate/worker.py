"""The service that Restate's server calls: one handler a scenario, one journaled `run` a step."""

import restate
from fibonacci import fibonacci

work = restate.Service("work")


@work.handler()
async def chain(ctx: restate.Context, order: dict) -> int:
    total = 0
    for index in range(order["steps"]):
        total += await ctx.run_typed(f"step {index}", fibonacci, n=order["n"])
    return total


@work.handler()
async def fan(ctx: restate.Context, order: dict) -> int:
    steps = [ctx.run_typed(f"step {index}", fibonacci, n=order["n"]) for index in range(order["steps"])]
    await restate.gather(*steps)
    return await ctx.run_typed("join", join, results=[await step for step in steps])


def join(results: list[int]) -> int:
    return sum(results)


app = restate.app([work])
