//! From what is committed to what is to be delivered: taking the news and writing its deliveries is one
//! transaction, so each is told once, however many couriers look.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;
use neena_engine::Micros;
use neena_engine::ids::OrganizationId;
use neena_store::entities::{approval_link, decision, delivery, notification_hook};
use neena_store::queries::reaching::news::{self, ToTell};
use neena_store::queries::reaching::{deliveries, hooks, links, people};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::notice::{AskNews, DecisionNews, News};
use crate::error::ApiError;
use crate::state::AppState;
use crate::view::parsed;

/// Asks, and decisions, taken in one transaction.
const AT_ONCE: u32 = 50;
/// How long a link holds where the ask has no end.
const LINK: Duration = Duration::from_secs(7 * 86_400);
/// The word for those who are asked, among the recipients of a hook.
pub(crate) const APPROVERS: &str = "approvers";

/// Has hooks told of asks.
pub(super) async fn asks(app: &AppState) -> Result<(), ApiError> {
    let with_links = app.config().reach.public_url.is_some();
    for organization in news::with_asks(app.db().reader()).await? {
        loop {
            let now = app.db().now().await?;
            let take = app.db().unit(move |tx| {
                async move {
                    let told = news::take_asks(tx, organization, AT_ONCE).await?;
                    let hooks = hooks::of(tx, organization).await?;
                    let mut out = Out::default();
                    for ask in &told {
                        let asked = Asked {
                            organization,
                            ask,
                            with_links,
                            now,
                        };
                        asked.tell(tx, &hooks, &mut out).await?;
                    }
                    out.write(tx).await?;
                    Ok::<_, ApiError>(told.len())
                }
                .boxed()
            });
            if take.await? < AT_ONCE as usize {
                break;
            }
        }
    }
    Ok(())
}

/// Has hooks told of decisions that ended an ask.
pub(super) async fn decisions(app: &AppState) -> Result<(), ApiError> {
    for organization in news::with_decisions(app.db().reader()).await? {
        loop {
            let now = app.db().now().await?;
            let take = app.db().unit(move |tx| {
                async move {
                    let entries = news::take_decisions(tx, organization, AT_ONCE.into()).await?;
                    let hooks = hooks::of(tx, organization).await?;
                    let mut out = Out::default();
                    for entry in entries.iter().filter(|entry| decides(entry)) {
                        told(tx, organization, &hooks, entry, now, &mut out).await?;
                    }
                    out.write(tx).await?;
                    Ok::<_, ApiError>(entries.len())
                }
                .boxed()
            });
            if take.await? < AT_ONCE as usize {
                break;
            }
        }
    }
    Ok(())
}

/// Whether an entry of the decision log is one by which a plan or a gate was decided.
fn decides(entry: &decision::Model) -> bool {
    match entry.what.as_str() {
        "approve" => entry.result == "approved",
        "reject" | "expire" => true,
        _ => false,
    }
}

/// Rows to be written.
#[derive(Default)]
struct Out {
    deliveries: Vec<delivery::Model>,
    links: Vec<approval_link::Model>,
}

impl Out {
    async fn write(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        links::insert(db, self.links).await?;
        deliveries::insert(db, self.deliveries).await
    }
}

/// An ask that is told.
struct Asked<'a> {
    organization: OrganizationId,
    ask: &'a ToTell,
    with_links: bool,
    now: Micros,
}

impl Asked<'_> {
    async fn tell(
        &self,
        db: &impl ConnectionTrait,
        hooks: &[notification_hook::Model],
        out: &mut Out,
    ) -> Result<(), DbErr> {
        let ask = self.ask;
        let news = News::Ask(AskNews {
            run: ask.run_id,
            idx: ask.idx,
            item: ask.item,
            stage: ask.stage,
            asked_at: ask.asked_at,
            due_at: ask.due_at,
            escalated: ask.escalated,
        });
        let body = news.text();
        let mut approvers: Option<Approvers> = None;
        for hook in hooks.iter().filter(|hook| wants(hook, &ask.tell)) {
            // What was asked before there was a hook is old news.
            let first = ask.tell == "requested" && ask.stage == 0;
            if first && ask.asked_at < hook.created_at {
                continue;
            }
            let row = |recipient| delivery::Model {
                recipient,
                ..deliveries::due(
                    self.organization.0,
                    hook.id,
                    &ask.tell,
                    body.clone(),
                    self.now,
                )
            };
            let Some(recipients) = recipients(hook) else {
                out.deliveries.push(row(None));
                continue;
            };
            if approvers.is_none() {
                approvers = Some(self.approvers(db).await?);
            }
            let Some(approvers) = &approvers else {
                continue;
            };
            for recipient in named(&recipients, &approvers.all) {
                let able = approvers.able.contains(&recipient);
                let mut delivery = row(Some(recipient.clone()));
                if self.with_links && able {
                    let link = self.link(recipient);
                    delivery.link_id = Some(link.id);
                    out.links.push(link);
                }
                out.deliveries.push(delivery);
            }
        }
        Ok(())
    }

    async fn approvers(&self, db: &impl ConnectionTrait) -> Result<Approvers, DbErr> {
        let (audience, not) = (self.ask.audience(), self.ask.excluded());
        let all = people::of_audience(db, self.organization, &audience, &not, self.now).await?;
        let able = people::approving(db, self.organization, Some(&all)).await?;
        Ok(Approvers {
            able: able.into_keys().collect(),
            all,
        })
    }

    fn link(&self, recipient: String) -> approval_link::Model {
        let ask = self.ask;
        approval_link::Model {
            id: Uuid::new_v4(),
            organization_id: self.organization.0,
            run_id: ask.run_id,
            idx: ask.idx,
            item: ask.item,
            stage: ask.stage,
            plan_hash: ask.plan_hash.clone(),
            recipient,
            expires_at: ask.due_at.unwrap_or(self.now.after(LINK).0),
            used_at: None,
            used_as: None,
            done_at: None,
        }
    }
}

/// Those who are asked.
struct Approvers {
    all: Vec<String>,
    /// Those known as users who may approve: a link can decide for them.
    able: BTreeSet<String>,
}

/// Has the hooks told of a decision: by e-mail those who voted and whoever asked for the run.
async fn told(
    db: &impl ConnectionTrait,
    organization: OrganizationId,
    hooks: &[notification_hook::Model],
    entry: &decision::Model,
    now: Micros,
    out: &mut Out,
) -> Result<(), DbErr> {
    let Some(run) = entry.run_id else {
        return Ok(());
    };
    let body = News::Decision(DecisionNews::of(run, entry)).text();
    for hook in hooks.iter().filter(|hook| wants(hook, "decided")) {
        let row = |recipient| delivery::Model {
            recipient,
            ..deliveries::due(organization.0, hook.id, "decided", body.clone(), now)
        };
        match recipients(hook) {
            None => out.deliveries.push(row(None)),
            Some(recipients) => {
                let concerned = people::concerned(db, run).await?;
                let named = named(&recipients, &concerned).into_iter();
                out.deliveries.extend(named.map(|one| row(Some(one))));
            }
        }
    }
    Ok(())
}

fn wants(hook: &notification_hook::Model, event: &str) -> bool {
    parsed::<Vec<String>>(&hook.events)
        .iter()
        .any(|wanted| wanted == event)
}

/// The recipients of an e-mail hook; none of a webhook.
fn recipients(hook: &notification_hook::Model) -> Option<Vec<String>> {
    let recipients = hook.recipients.as_deref()?;
    Some(parsed(recipients))
}

/// The addresses that `recipients` come to, each once, where `approvers` are those.
fn named(recipients: &[String], approvers: &[String]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for recipient in recipients {
        match recipient == APPROVERS {
            true => all.extend(approvers.iter().cloned()),
            false => {
                all.insert(recipient.to_lowercase());
            }
        }
    }
    // A token without an e-mail has its subject in that place, which no mail goes to.
    all.retain(|address| address.contains('@'));
    all
}
