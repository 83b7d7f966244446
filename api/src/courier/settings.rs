//! How people are reached, from the configuration.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::auth::Secret;

/// How people are reached.
#[derive(Clone, Debug)]
pub struct Reach {
    /// What sends e-mail; none: none is sent.
    pub smtp: Option<Smtp>,
    /// Where people reach this API, for links; none: e-mails have none.
    pub public_url: Option<String>,
    /// What webhooks may reach beside the public internet.
    pub egress_allow: Vec<EgressAllow>,
    /// What links and webhooks are signed with; none: the key that signs tokens.
    pub key: Option<Secret>,
    /// How often is looked what is to be told.
    pub every: Duration,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Longest wait after the first attempt; it doubles with each.
    pub first_wait: Duration,
    /// Longest wait after any attempt.
    pub most_wait: Duration,
    /// Attempts, after which a delivery is given up.
    pub tries: u32,
}

impl Default for Reach {
    fn default() -> Reach {
        Reach {
            smtp: None,
            public_url: None,
            egress_allow: Vec::new(),
            key: None,
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            first_wait: Duration::from_secs(10),
            most_wait: Duration::from_secs(3_600),
            tries: 15,
        }
    }
}

impl Reach {
    /// How long a delivery is one courier's: longer than any attempt.
    pub(super) fn lease(&self) -> Duration {
        self.timeout * 3
    }

    /// The longest wait after so many attempts.
    pub(super) fn longest_wait(&self, attempts: i64) -> Duration {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first_wait.saturating_mul(factor).min(self.most_wait)
    }
}

/// What sends e-mail.
#[derive(Clone)]
pub struct Smtp {
    /// `smtps://USER:PASSWORD@HOST`, or `smtp://…` with `?tls=required`.
    pub url: String,
    /// `NAME <ADDRESS>` or an address.
    pub from: String,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

/// Something inside that webhooks may reach: `HOST:PORT`, or addresses as `10.1.0.0/16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressAllow {
    Place { host: String, port: u16 },
    Addresses { network: IpAddr, bits: u8 },
}

/// A word that allows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither HOST:PORT nor addresses such as 10.1.0.0/16")]
pub struct BadEgress(String);

impl FromStr for EgressAllow {
    type Err = BadEgress;

    fn from_str(text: &str) -> Result<EgressAllow, BadEgress> {
        let bad = || BadEgress(text.to_owned());
        if let Some((network, bits)) = text.split_once('/') {
            let network: IpAddr = network.parse().map_err(|_| bad())?;
            let bits: u8 = bits.parse().map_err(|_| bad())?;
            let most = if network.is_ipv4() { 32 } else { 128 };
            return match bits <= most {
                true => Ok(EgressAllow::Addresses { network, bits }),
                false => Err(bad()),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match (host.is_empty(), port.parse()) {
            (false, Ok(port)) => Ok(EgressAllow::Place {
                host: host.to_lowercase(),
                port,
            }),
            _ => Err(bad()),
        }
    }
}

impl EgressAllow {
    pub(super) fn is_place(&self, at: &str, on: u16) -> bool {
        matches!(self, EgressAllow::Place { host, port } if *port == on && host.eq_ignore_ascii_case(at))
    }

    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let EgressAllow::Addresses { network, bits } = self else {
            return false;
        };
        match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(*bits);
                let cut = |address: u32| address.checked_shr(shift).unwrap_or(0);
                cut(network.to_bits()) == cut(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(*bits);
                let cut = |address: u128| address.checked_shr(shift).unwrap_or(0);
                cut(network.to_bits()) == cut(address.to_bits())
            }
            _ => false,
        }
    }
}
