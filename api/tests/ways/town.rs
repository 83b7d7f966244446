//! A server with the people of every world, and what they call it for.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use neena_store::SqlStore;
use neena_store::entities::approval_link;
use neena_store::queries::reaching::links;
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::case::{PEOPLE, WORLDS, email};
use crate::harness::{Answer, Api, ISSUER};

pub struct Town {
    pub api: Api,
    pub store: SqlStore,
    echo: Uuid,
    /// Tokens of the people, by world.
    tokens: Vec<Vec<String>>,
    /// A flow request of each world.
    requests: Vec<Uuid>,
}

impl Town {
    pub async fn build() -> Town {
        let api = Api::start().await;
        let mut town = Town {
            store: SqlStore::new(api.db.clone()),
            echo: api.definition("core.echo").await,
            tokens: Vec::new(),
            requests: Vec::new(),
            api,
        };
        for at in 0..WORLDS.len() {
            town.settle(at).await;
        }
        town
    }

    async fn settle(&mut self, at: usize) {
        let world = &WORLDS[at];
        let tokens = (0..PEOPLE).map(|who| {
            let mut may = vec!["read", "write", "admin"];
            for (word, whose) in [("approve", world.approve), ("deploy", world.deploy)] {
                if whose.contains(&who) {
                    may.push(word);
                }
            }
            self.token(at, who, &may)
        });
        let tokens: Vec<String> = tokens.collect();
        self.tokens.push(tokens);
        // Whoever has called before is known.
        for who in 0..PEOPLE {
            self.call(at, who, "GET", "/users/", None).await.expect(200);
        }
        for (name, members) in ["a", "b"].iter().zip(world.groups) {
            let members: Vec<String> = members.iter().map(|who| email(*who)).collect();
            let group = json!({"name": name, "members": members});
            let set = self.call(at, 0, "PUT", "/groups/", Some(group)).await;
            set.expect(200);
        }
        for (from, to) in world.lent {
            let ends = chrono::Utc::now() + chrono::Duration::days(1);
            let lent = json!({"from": email(*from), "to": email(*to), "ends": ends.to_rfc3339()});
            // Who cannot approve has their place lent by somebody else.
            let lender = match world.approve.contains(from) {
                true => *from,
                false => world.approve[0],
            };
            let set = self.call(at, lender, "POST", "/delegations/", Some(lent));
            set.await.expect(200);
        }
        let wanted = json!({"request_instructions": "Ship it."});
        let request = self.call(at, 0, "POST", "/flow_requests/", Some(wanted));
        self.requests.push(request.await.expect(200).id());
    }

    fn token(&self, world: usize, who: usize, may: &[&str]) -> String {
        let now = chrono::Utc::now().timestamp();
        let claims = json!({
            "iss": ISSUER, "aud": ISSUER, "sub": format!("{world}|{who}"), "email": email(who),
            "org_id": format!("world {world}"), "permissions": may, "iat": now, "exp": now + 86_400,
        });
        let key = EncodingKey::from_secret(self.api.secret.expose());
        encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
    }

    pub fn token_of(&self, world: usize, who: usize) -> &str {
        &self.tokens[world][who]
    }

    pub async fn call(
        &self,
        world: usize,
        who: usize,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let path = format!("/api/v1{path}");
        let token = self.token_of(world, who);
        self.api.call(method, &path, token, body).await
    }

    /// A flow with this policy: its own, or that of its first task.
    pub async fn flow(&self, world: usize, author: usize, policy: &Value, gate: bool) -> Uuid {
        let (whole, task) = match gate {
            true => (json!("none"), policy.clone()),
            false => (policy.clone(), Value::Null),
        };
        let flow = json!({
            "name": "Ship it",
            "approval": whole,
            "task_operations": [
                {"name": "Ship", "task_definition": self.echo, "index": 1, "arguments": {"x": 1}, "approval": task},
            ],
            "dependencies": [],
        });
        let posted = self.call(world, author, "POST", "/flows/", Some(flow));
        posted.await.expect(200).id()
    }

    /// Asks for a run; `approved`: and approves it along with that.
    pub async fn run(&self, world: usize, who: usize, flow: Uuid, approved: bool) -> Answer {
        let mut body = json!({"flow": flow, "flow_request": self.requests[world]});
        if approved {
            body["approval_status"] = json!("approved");
        }
        self.call(world, who, "POST", "/flow_runs/", Some(body))
            .await
    }

    /// The token of a link, as an e-mail would carry it.
    pub async fn link(&self, link: approval_link::Model) -> String {
        let mut bytes = link.id.as_bytes().to_vec();
        bytes.extend(signature(self.api.secret.expose(), &link));
        let stored = self.api.db.unit(move |tx| {
            Box::pin(async move {
                links::insert(tx, vec![link]).await?;
                Ok::<_, neena_store::StoreError>(())
            })
        });
        stored.await.unwrap();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn signature(secret: &[u8], link: &approval_link::Model) -> Vec<u8> {
    let mac = |key: &[u8], parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let numbers = [link.idx, link.item, link.stage.into(), link.expires_at];
    let numbers: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect();
    let texts = [&link.plan_hash, &link.recipient].map(|text| {
        let length = (text.len() as u64).to_be_bytes();
        [&length[..], text.as_bytes()].concat()
    });
    let ids = [link.id, link.organization_id, link.run_id];
    let [id, organization, run] = ids.each_ref().map(Uuid::as_bytes);
    let parts: [&[u8]; 6] = [id, organization, run, &numbers, &texts[0], &texts[1]];
    mac(&mac(secret, &[b"neena approval link key v1"]), &parts)
}
