"""A worker outside of Neena: takes the tasks of one integration and answers the owners of their runs, as
docs/remote-tasks.md says. Needs aio-pika, and NEENA_AMQP_URL, NEENA_AMQP_PREFIX and NEENA_TASK_KEY."""

import asyncio, hmac, json, os, time, uuid

import aio_pika

INTEGRATION, SLOTS, NAME = "word_counter", 4, f"word-counter-{os.getpid()}"
PREFIX, KEY = os.environ.get("NEENA_AMQP_PREFIX", "neena"), bytes.fromhex(os.environ["NEENA_TASK_KEY"])
CONTROL, DEAD = f"{PREFIX}.control.{uuid.uuid4()}", {"x-dead-letter-exchange": f"{PREFIX}.dead"}
QUEUE = {"x-queue-type": "quorum", "x-delivery-limit": 100, "x-expires": 7 * 24 * 3600 * 1000, **DEAD}
ECHO = ("dispatch", "run", "index", "item", "attempt", "epoch")
running, permits = {}, {}  # by dispatch: the task with its attempt, and what the attempt waits for


async def count_words(text, seconds=0):
    await asyncio.sleep(seconds)
    return {"words": len(text.split())}


METHODS = {"count_words": count_words}


def sign(body):
    return hmac.new(KEY, body, "sha256").hexdigest()


def read(message):
    """What a message says, if it was signed with our key."""
    signed = hmac.compare_digest(str(message.headers.get("neena-signature")), sign(message.body))
    return json.loads(message.body) if signed else None


async def say(channel, queue, kind, **fields):
    """Whether a queue took it; none means that the owner of the run is gone."""
    body = json.dumps({"type": kind, "integration": INTEGRATION, **fields}, allow_nan=False).encode()
    headers = {"neena-signature": sign(body), "neena-integration": INTEGRATION}
    message = aio_pika.Message(body, headers=headers, type=kind, content_type="application/json", delivery_mode=2)
    try:
        return bool(await channel.default_exchange.publish(message, queue, mandatory=True))
    except aio_pika.exceptions.DeliveryError:
        return False


async def attempt(task):
    """How an attempt ends: with a result, or with an error."""
    permit, limit = permits[task["dispatch"]], task.get("timeout_ms")
    try:
        await asyncio.wait_for(permit.wait(), 30)
        result = await asyncio.wait_for(METHODS[task["method"]](**task["arguments"]), limit and limit / 1000)
        return {"result": json.loads(json.dumps(result, allow_nan=False))}
    except asyncio.CancelledError:
        code, message = "stopped", "stopped by the owner"
    except asyncio.TimeoutError:
        code, message = "timeout" if permit.is_set() else "not_permitted", "the time was over"
    except Exception as error:
        code, message = type(error).__name__, str(error)
    return {"error": {"code": code, "message": message, "retryable": True, "before_effect": not permit.is_set()}}


async def take(channel, message):
    task = read(message)
    if not task or task["v"] != 1 or task["method"] not in METHODS:
        return await message.reject(requeue=False)
    dispatch, owner, began = task["dispatch"], task["reply_to"], time.monotonic()
    if dispatch in running:  # the same, delivered once more
        return await message.ack()
    permits[dispatch] = asyncio.Event()
    running[dispatch] = task, asyncio.ensure_future(attempt(task))
    mine = {"executor": NAME, "control_queue": CONTROL, "code_digest": task["code_digest"]}
    if not await say(channel, owner, "accepted", dispatch=dispatch, **mine):
        running[dispatch][1].cancel()
    elif task["permit"]:
        await message.ack()  # never delivered again: only its owner may decide that it runs once more
    else:
        permits[dispatch].set()
    end = await running[dispatch][1]
    del running[dispatch], permits[dispatch]
    end["elapsed_us"] = int((time.monotonic() - began) * 1e6)
    await say(channel, owner, "done", **{field: task[field] for field in ECHO if field in task}, **end)
    if not message.processed:
        await message.ack()


async def order(message):
    told = read(message) or {}
    if told.get("type") == "permit" and told["dispatch"] in permits:
        permits[told["dispatch"]].set()
    if told.get("type") == "stop" and told["dispatch"] in running:
        running[told["dispatch"]][1].cancel()
    await message.ack()


async def main():
    connection = await aio_pika.connect_robust(os.environ["NEENA_AMQP_URL"], heartbeat=10)
    channel = await connection.channel(on_return_raises=True)
    await channel.set_qos(prefetch_count=SLOTS)
    control = await channel.declare_queue(CONTROL, durable=True, arguments={"x-expires": 120_000, **DEAD})
    await control.consume(order)
    tasks = await channel.declare_queue(f"{PREFIX}.tasks.{INTEGRATION}", durable=True, arguments=QUEUE)
    await tasks.consume(lambda message: take(channel, message))
    while True:
        await asyncio.sleep(5)
        for owner in {task["reply_to"] for task, _ in running.values()}:
            held = [dispatch for dispatch, (task, _) in running.items() if task["reply_to"] == owner]
            await say(channel, owner, "beat", dispatches=held, executor=NAME)


if __name__ == "__main__":
    asyncio.run(main())
