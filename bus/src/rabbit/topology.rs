//! What Neena keeps at the broker. Declared at every connect, whenever a message finds no queue, and by whoever
//! consumes; to declare what is there already changes nothing.
//!
//! | name | what | takes |
//! |---|---|---|
//! | `<p>.events` | topic exchange | every message of the outbox, by its type |
//! | `<p>.runs` | quorum queue, bound to the types that wake workers | wake-ups, for all workers in competition |
//! | `<p>.dead` | fanout exchange and its quorum queue | what nobody could read or deliver; the oldest go beyond 100,000 |
//! | `<p>.tasks.<integration>@<digest>` | quorum queue, gone after seven days unused | tasks, for workers that host this code |
//! | `<p>.tasks.<integration>` | the same | tasks, for outside workers |
//! | `<p>.replies.<worker>` | queue, gone after two minutes unused | what executors say to the owner of a run |
//! | `<p>.control.<worker>` | the same | pokes and orders to a worker |
//!
//! The queues of a worker are not exclusive: an exclusive queue dies with its connection, and cannot be declared
//! again while the broker still believes in the old one. These outlive a reconnect, and expire.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use neena_store::Message;

use super::names::Names;
use super::trouble::{Trouble, answered, short};

/// Deliveries of a wake-up. It is given back often while workers are full, which counts.
const RUN_DELIVERIES: i32 = 1_000;
/// Deliveries of a task: one that kills whoever takes it ends among the dead letters.
const TASK_DELIVERIES: i32 = 100;
/// How long an unused queue of tasks is kept, in milliseconds.
const TASKS_EXPIRE: i32 = 7 * 24 * 60 * 60 * 1_000;
/// How long the queue of a worker that went is kept, in milliseconds.
const LETTERS_EXPIRE: i32 = 120_000;
/// Dead letters kept.
const DEAD: i32 = 100_000;

/// Declares the exchanges, the queue of wake-ups and the queue of dead letters.
pub(crate) async fn declare(channel: &Channel, names: &Names) -> Result<(), Trouble> {
    exchange(channel, &names.events(), ExchangeKind::Topic).await?;
    exchange(channel, &names.dead(), ExchangeKind::Fanout).await?;
    let dead = [
        ("x-queue-type", text("quorum")),
        ("x-max-length", number(DEAD)),
    ];
    queue(channel, &names.dead(), &dead).await?;
    bind(channel, &names.dead(), &names.dead(), "").await?;
    let runs = [
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", number(RUN_DELIVERIES)),
        ("x-dead-letter-exchange", text(&names.dead())),
    ];
    queue(channel, &names.runs(), &runs).await?;
    for kind in [
        Message::APPROVED,
        Message::RESUMED,
        Message::CANCEL_REQUESTED,
    ] {
        bind(channel, &names.runs(), &names.events(), kind).await?;
    }
    Ok(())
}

/// Declares a queue of tasks.
pub(super) async fn declare_tasks(
    channel: &Channel,
    names: &Names,
    name: &str,
) -> Result<(), Trouble> {
    let tasks = [
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", number(TASK_DELIVERIES)),
        ("x-expires", number(TASKS_EXPIRE)),
        ("x-dead-letter-exchange", text(&names.dead())),
    ];
    queue(channel, name, &tasks).await
}

/// Declares the queue of replies or of pokes and orders of one worker.
pub(super) async fn declare_letters(
    channel: &Channel,
    names: &Names,
    name: &str,
) -> Result<(), Trouble> {
    let letters = [
        ("x-expires", number(LETTERS_EXPIRE)),
        ("x-dead-letter-exchange", text(&names.dead())),
    ];
    queue(channel, name, &letters).await
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), Trouble> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declared = channel.exchange_declare(short(name)?, kind, options, FieldTable::default());
    answered("exchange.declare", declared).await
}

async fn queue(
    channel: &Channel,
    name: &str,
    arguments: &[(&str, AMQPValue)],
) -> Result<(), Trouble> {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert((*key).into(), value.clone());
    }
    let declared = channel.queue_declare(short(name)?, QueueDeclareOptions::durable(), table);
    answered("queue.declare", declared).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), Trouble> {
    let bound = channel.queue_bind(
        short(queue)?,
        short(exchange)?,
        short(key)?,
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    answered("queue.bind", bound).await
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}
