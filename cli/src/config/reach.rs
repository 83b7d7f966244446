//! The options of how approvals reach people.

use clap::Args;
use neena_api::EgressAllow;

use super::values::{Secret, public_url};

/// How approvals reach people.
#[derive(Clone, Debug, Args)]
pub struct ReachOptions {
    /// URL under which people reach this API, for links in e-mails; without it they have none.
    #[arg(long, env = "NEENA_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,
    /// Mail server, as smtps://USER:PASSWORD@HOST or smtp://HOST:587?tls=required; without it no e-mail is sent.
    #[arg(
        long,
        env = "NEENA_SMTP_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub smtp_url: Option<Secret>,
    /// Sender of e-mails, as an address or NAME <ADDRESS>.
    #[arg(
        long,
        env = "NEENA_MAIL_FROM",
        value_name = "SENDER",
        default_value = "Neena <neena@localhost.localdomain>"
    )]
    pub mail_from: String,
    /// What webhooks may reach beside the public internet: HOST:PORT or addresses such as 10.1.0.0/16, separated by commas.
    #[arg(
        long,
        env = "NEENA_EGRESS_ALLOW",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub egress_allow: Vec<EgressAllow>,
}
