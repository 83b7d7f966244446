//! The means by which people are reached, made once from the settings.

use super::egress::Egress;
use super::keys::Keys;
use super::mail::{BadMail, Mailer};
use super::settings::Reach;
use crate::config::ApiConfig;

/// Keys, and the ways out.
#[derive(Clone, Debug)]
pub(crate) struct Reaching {
    keys: Keys,
    egress: Option<Egress>,
    mailer: Option<Mailer>,
}

impl Reaching {
    /// By the settings; what they do not make possible is not there.
    pub(crate) fn new(config: &ApiConfig) -> Reaching {
        let reach = &config.reach;
        let secret = reach.key.as_ref().unwrap_or(&config.tokens.secret);
        let egress = Egress::new(reach)
            .inspect_err(|error| tracing::error!(%error, "no webhook can be called"));
        let mailer =
            mailer(reach).inspect_err(|error| tracing::error!(%error, "no e-mail can be sent"));
        Reaching {
            keys: Keys::of(secret.expose()),
            egress: egress.ok(),
            mailer: mailer.ok().flatten(),
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) fn egress(&self) -> Option<&Egress> {
        self.egress.as_ref()
    }

    pub(crate) fn mailer(&self) -> Option<&Mailer> {
        self.mailer.as_ref()
    }
}

impl Reach {
    /// Whether these settings can be used.
    pub fn check(&self) -> Result<(), BadMail> {
        mailer(self).map(drop)
    }
}

fn mailer(reach: &Reach) -> Result<Option<Mailer>, BadMail> {
    let mailer = |smtp| Mailer::new(smtp, reach.timeout);
    reach.smtp.as_ref().map(mailer).transpose()
}
