//! Where webhooks may go: the public internet, and what the operator allows. What counts is the address that is
//! connected to, so a name that leads inside leads nowhere, whatever it led to before.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

use super::settings::{EgressAllow, Reach};

/// Longest URL of a webhook.
const LONGEST: usize = 2_048;

/// Why a URL is not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Barred {
    #[error(
        "Input should be an http or https URL of at most 2048 characters, without user and fragment"
    )]
    NoUrl,
    #[error("The address is not one of the public internet, and this server does not allow it")]
    Inside,
}

/// The clients that webhooks go out by.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    allow: Arc<[EgressAllow]>,
    /// Goes to public addresses only.
    guarded: Client,
    /// Goes to places that are allowed by name.
    open: Client,
}

impl Egress {
    pub(crate) fn new(reach: &Reach) -> Result<Egress, reqwest::Error> {
        let allow: Arc<[EgressAllow]> = reach.egress_allow.clone().into();
        let resolver = Arc::new(Guarded(Arc::clone(&allow)));
        Ok(Egress {
            allow,
            guarded: plain(reach.timeout).dns_resolver(resolver).build()?,
            open: plain(reach.timeout).build()?,
        })
    }

    /// The URL, and the client that may call it.
    pub(crate) fn way(&self, url: &str) -> Result<(Url, &Client), Barred> {
        if url.len() > LONGEST {
            return Err(Barred::NoUrl);
        }
        let url = Url::parse(url).map_err(|_| Barred::NoUrl)?;
        let named = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !named || url.fragment().is_some() {
            return Err(Barred::NoUrl);
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Barred::NoUrl);
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if self.allow.iter().any(|place| place.is_place(host, port)) {
            return Ok((url, &self.open));
        }
        // A literal address is connected to without a resolver.
        if let Ok(address) = host.parse()
            && !permitted(&self.allow, address)
        {
            return Err(Barred::Inside);
        }
        Ok((url, &self.guarded))
    }
}

/// A client that follows nothing, heeds no proxy, and waits so long.
fn plain(timeout: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .timeout(timeout)
        .connect_timeout(timeout)
        .pool_max_idle_per_host(2)
        .user_agent(concat!("neena/", env!("CARGO_PKG_VERSION")))
}

/// Resolves names to addresses that may be reached, and to no others.
#[derive(Debug)]
struct Guarded(Arc<[EgressAllow]>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let reached: Vec<SocketAddr> = found
                .filter(|address| permitted(&allow, address.ip()))
                .collect();
            if reached.is_empty() {
                return Err(Box::new(Barred::Inside) as Box<dyn Error + Send + Sync>);
            }
            Ok(Box::new(reached.into_iter()) as Addrs)
        })
    }
}

fn permitted(allow: &[EgressAllow], address: IpAddr) -> bool {
    is_public(address) || allow.iter().any(|some| some.holds(address))
}

/// Whether an address is one of the public internet. Those that stand for others (mapped, translated,
/// tunnelled) are not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, shared by carriers (RFC 6598), loopback, link-local with the metadata
        // services of clouds, private, protocol assignments, 6to4 relays, private, benchmarks.
        (0 | 10 | 127, _, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _) => true,
        (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) => true,
        // Documentation.
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224.., _, _) => true,
        _ => false,
    };
    // Metadata of a cloud that took a public address for it.
    !special && address != Ipv4Addr::new(168, 63, 129, 16)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Global unicast is 2000::/3; all else is local, mapped, translated (64:ff9b::/96) or multicast.
    let global = a & 0xe000 == 0x2000;
    // Protocol assignments with Teredo (2001::/23), documentation, 6to4, documentation.
    let special = matches!(
        (a, b),
        (0x2001, 0..=0x1ff | 0xdb8) | (0x2002, _) | (0x3fff, 0..=0xfff)
    );
    global && !special
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn egress(allow: &[&str]) -> Egress {
        let allow = allow.iter().map(|word| word.parse().unwrap()).collect();
        Egress::new(&Reach {
            egress_allow: allow,
            timeout: Duration::from_secs(2),
            ..Reach::default()
        })
        .unwrap()
    }

    #[tokio::test]
    async fn addresses_inside_are_barred_however_they_are_written() {
        let egress = egress(&[]);
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.0.0.1",
            "2130706433",
            "0177.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fec0::1]",
            "[ff02::1]",
            "[2002:7f00:1::]",
            "[2001:0:1::]",
            "[2001:db8::1]",
        ] {
            let url = format!("http://{host}/hook");
            assert_eq!(egress.way(&url).err(), Some(Barred::Inside), "{url}");
        }
        for host in ["8.8.8.8", "[2606:4700::1111]", "example.com", "172.32.0.1"] {
            assert!(
                egress.way(&format!("https://{host}/hook")).is_ok(),
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_plain_web_address_is_barred() {
        let egress = egress(&[]);
        let long = format!("https://example.com/{}", "x".repeat(LONGEST));
        for url in [
            "file:///etc/passwd",
            "gopher://example.com/",
            "ftp://example.com/",
            "https://",
            "example.com",
            "https://user:word@example.com/",
            "https://user@example.com/",
            "https://example.com/#part",
            long.as_str(),
        ] {
            assert_eq!(egress.way(url).err(), Some(Barred::NoUrl), "{url}");
        }
    }

    #[tokio::test]
    async fn what_the_operator_allows_is_no_more_than_that() {
        let egress = egress(&[
            "127.0.0.1:8123",
            "hooks.inside:80",
            "10.1.0.0/16",
            "[::1]:9",
        ]);
        for url in [
            "http://127.0.0.1:8123/",
            "http://HOOKS.inside/",
            "http://10.1.255.1/",
            "http://[::1]:9/",
        ] {
            assert!(egress.way(url).is_ok(), "{url}");
        }
        for url in [
            "http://127.0.0.1:8124/",
            "http://10.2.0.1/",
            "http://[::1]:10/",
        ] {
            assert_eq!(egress.way(url).err(), Some(Barred::Inside), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_leads_nowhere() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let egress = egress(&[]);
        for host in ["localhost", "localhost."] {
            let url = format!("http://{host}:{port}/");
            let (url, client) = egress.way(&url).unwrap();
            let error = client.post(url).send().await.unwrap_err();
            assert!(error.is_connect(), "{error:?}");
        }
        let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept());
        assert!(nobody.await.is_err(), "something was connected to");
    }

    #[test]
    fn words_that_allow_nothing_are_refused() {
        for word in [
            "",
            "host",
            ":80",
            "host:port",
            "10.0.0.0/33",
            "x/8",
            "::1/129",
        ] {
            assert!(word.parse::<EgressAllow>().is_err(), "{word}");
        }
    }
}
