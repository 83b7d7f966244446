//! Dead letters, for people: what nobody could read or deliver, why, and back to where it came from.

use std::time::Duration;

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Confirmation, Connection, ConnectionProperties};
use neena_engine::{Hash, Micros};

use crate::BusError;
use crate::rabbit::names::Names;
use crate::rabbit::topology;
use crate::rabbit::trouble::{Trouble, answered, short};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Headers that tell of a death; what is replayed has not died yet.
const DEATH: [&str; 4] = [
    "x-death",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-first-death-exchange",
];

/// The dead letters of an installation.
#[derive(Debug)]
pub struct DeadLetters {
    connection: Connection,
    names: Names,
}

/// A message that nobody could read or deliver.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Its message id, or one made of its content.
    pub id: String,
    /// The queue it died in; none for what did not come from one.
    pub queue: Option<String>,
    /// `rejected` (not readable, or not signed), `delivery_limit`, `expired`, …
    pub reason: Option<String>,
    pub died_at: Option<Micros>,
    /// The type it says it has.
    pub kind: Option<String>,
    pub body: Vec<u8>,
}

/// Which dead letters are meant.
#[derive(Clone, Debug)]
pub enum Which {
    All,
    /// All with this id: a message may die more than once.
    Id(String),
}

/// What became of the letters that were to be replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// In their queues again.
    pub back: Vec<String>,
    /// Still dead: the queue they came from is gone, or they came from none.
    pub stay: Vec<String>,
}

impl DeadLetters {
    /// Connects to the broker of an installation.
    pub async fn connect(url: &str, prefix: &str) -> Result<DeadLetters, BusError> {
        let names = Names::new(prefix)?;
        let uri: AMQPUri = url.parse().map_err(|_| {
            BusError("the URL is not like amqp://user:password@host:port/vhost".to_owned())
        })?;
        let properties =
            ConnectionProperties::default().with_connection_name("neena dead letters".into());
        let connecting = tokio::time::timeout(CONNECT, Connection::connect_uri(uri, properties));
        let connection = connecting
            .await
            .map_err(|_| Trouble::Slow("connection.open"))?
            .map_err(Trouble::from)?;
        let letters = DeadLetters { connection, names };
        topology::declare(&letters.channel().await?, &letters.names).await?;
        Ok(letters)
    }

    /// The oldest letters, at most so many. They stay.
    pub async fn list(&self, most: usize) -> Result<Vec<DeadLetter>, BusError> {
        let channel = self.channel().await?;
        let mut letters = Vec::new();
        while letters.len() < most
            && let Some(got) = self.get(&channel).await?
        {
            letters.push(letter(&got));
        }
        self.close(&channel).await?;
        Ok(letters)
    }

    /// Puts letters back into the queues they died in.
    pub async fn replay(&self, which: &Which) -> Result<Replayed, BusError> {
        let channel = self.channel().await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        answered("confirm.select", confirms).await?;
        let mut replayed = Replayed::default();
        self.each(&channel, which, async |got| {
            let letter = letter(got);
            let back = match &letter.queue {
                Some(queue) => put_back(&channel, queue, got).await?,
                None => false,
            };
            match back {
                true => replayed.back.push(letter.id),
                false => replayed.stay.push(letter.id),
            }
            Ok(back)
        })
        .await?;
        Ok(replayed)
    }

    /// Deletes letters for good; their ids.
    pub async fn delete(&self, which: &Which) -> Result<Vec<String>, BusError> {
        let channel = self.channel().await?;
        let mut deleted = Vec::new();
        self.each(&channel, which, async |got| {
            deleted.push(letter(got).id);
            Ok(true)
        })
        .await?;
        Ok(deleted)
    }

    /// Goes through the letters that are meant; those for which `done` says so are gone.
    async fn each(
        &self,
        channel: &Channel,
        which: &Which,
        mut done: impl AsyncFnMut(&BasicGetMessage) -> Result<bool, Trouble>,
    ) -> Result<(), BusError> {
        while let Some(got) = self.get(channel).await? {
            let meant = match which {
                Which::All => true,
                Which::Id(id) => letter(&got).id == *id,
            };
            if meant && done(&got).await? {
                answered("basic.ack", got.ack(BasicAckOptions::default())).await?;
            }
        }
        // What was not acknowledged is in the queue again.
        Ok(self.close(channel).await?)
    }

    async fn channel(&self) -> Result<Channel, Trouble> {
        answered("channel.open", self.connection.create_channel()).await
    }

    async fn close(&self, channel: &Channel) -> Result<(), Trouble> {
        let closing = channel.close(200, ShortString::default());
        answered("channel.close", closing).await
    }

    async fn get(&self, channel: &Channel) -> Result<Option<BasicGetMessage>, Trouble> {
        let queue = short(&self.names.dead())?;
        let getting = channel.basic_get(queue, BasicGetOptions::default());
        answered("basic.get", getting).await
    }
}

/// Publishes a dead letter to a queue; whether the queue took it.
async fn put_back(channel: &Channel, queue: &str, got: &BasicGetMessage) -> Result<bool, Trouble> {
    let mut headers = FieldTable::default();
    for (name, value) in got.properties.headers().iter().flat_map(FieldTable::inner) {
        if !DEATH.contains(&name.as_str()) {
            headers.insert(name.clone(), value.clone());
        }
    }
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    let properties = got.properties.clone().with_headers(headers);
    let publishing = channel.basic_publish(
        ShortString::default(),
        short(queue)?,
        options,
        &got.data,
        properties,
    );
    let confirm = answered("basic.publish", publishing).await?;
    // One at a time: what was returned is this one.
    Ok(answered("a publish", confirm).await? == Confirmation::Ack(None))
}

fn letter(got: &BasicGetMessage) -> DeadLetter {
    let properties = &got.properties;
    let death = properties
        .headers()
        .as_ref()
        .and_then(|headers| match headers.inner().get("x-death")? {
            AMQPValue::FieldArray(deaths) => deaths.as_slice().first(),
            _ => None,
        })
        .and_then(|death| match death {
            AMQPValue::FieldTable(death) => Some(death.inner()),
            _ => None,
        });
    let said = |field: &str| death.and_then(|death| text(death.get(field)?));
    let id = properties.message_id().as_ref().map(ShortString::to_string);
    DeadLetter {
        id: id.unwrap_or_else(|| format!("body-{:.12}", Hash::of(&got.data).to_string())),
        queue: said("queue"),
        reason: said("reason"),
        died_at: death.and_then(|death| match death.get("time")? {
            AMQPValue::Timestamp(seconds) => Some(Micros(*seconds as i64 * 1_000_000)),
            _ => None,
        }),
        kind: properties.kind().as_ref().map(ShortString::to_string),
        body: got.data.clone(),
    }
}

fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(value) => Some(value.to_string()),
        AMQPValue::ShortString(value) => Some(value.to_string()),
        _ => None,
    }
}
