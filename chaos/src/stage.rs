//! What most rows begin with: an installation with an API, a flow, and runs to be approved.

use anyhow::bail;

use crate::client::{Client, Flow, Shape};
use crate::keep::Api;
use crate::lab::Lab;
use crate::site::{Site, Through};

/// An installation with an API and a flow.
#[derive(Debug)]
pub struct Stage<'a> {
    pub site: Site<'a>,
    pub api: Api,
    pub client: Client,
    pub shape: Shape,
    pub flow: Flow,
}

impl<'a> Stage<'a> {
    /// On a fresh site.
    pub async fn set(lab: &'a Lab, shape: Shape) -> anyhow::Result<Stage<'a>> {
        let site = Site::open(lab).await?;
        Stage::on(site, shape, Through::default()).await
    }

    /// On a site, its API's connections going `through` something.
    pub async fn on(
        mut site: Site<'a>,
        shape: Shape,
        through: Through,
    ) -> anyhow::Result<Stage<'a>> {
        let tells = !shape.effects().is_empty();
        let integration = site.lab.repository.join("chaos/integration/effects.py");
        let api = Api::start(&site, through).await?;
        let client = Client::new(&api.url, &site.token("approver@chaos.example").await?)?;
        if tells {
            let synced = site
                .command("sync", "sync", &Through::default())
                .arg(&integration)
                .env("NEENA_URL", &client.url)
                .env("NEENA_TOKEN", &client.token)
                .output()
                .await?;
            if !synced.status.success() {
                bail!(
                    "neena sync failed: {}",
                    String::from_utf8_lossy(&synced.stderr)
                );
            }
            site.set("NEENA_INTEGRATIONS", integration.display());
        }
        let flow = client.flow(&shape).await?;
        Ok(Stage {
            site,
            api,
            client,
            shape,
            flow,
        })
    }

    /// From now on the API's connections go `through` something else, or it fails somewhere.
    pub async fn api_goes(&mut self, through: Through) -> anyhow::Result<()> {
        self.api.process.kill().await?;
        self.api.reroute(through);
        self.api.again(&self.site).await
    }
}
