//! Name lookup that does not lead to the machine's own metadata service.
//!
//! Private addresses are the operator's word and allowed. Link-local and metadata addresses are
//! refused when they come out of a name; written literally they never pass through here.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The metadata service of a large cloud, outside the link-local range.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

#[derive(Debug, thiserror::Error)]
pub(super) enum DnsError {
    #[error("no such host")]
    NotFound,
    #[error("the name leads to a link-local or metadata address, which is refused")]
    Forbidden,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The system's resolver, on tokio's blocking pool.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses = match found {
                Ok(found) => usable(found)?,
                Err(error) => {
                    tracing::debug!(host = name.as_str(), %error, "name lookup failed");
                    return Err(DnsError::NotFound.into());
                }
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn usable(found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, DnsError> {
    let (good, bad): (Vec<_>, Vec<_>) = found.partition(|address| !is_forbidden(address.ip()));
    match (good.is_empty(), bad.is_empty()) {
        (false, _) => Ok(good),
        (true, false) => Err(DnsError::Forbidden),
        (true, true) => Err(DnsError::NotFound),
    }
}

fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local()
                || ip == METADATA_V6
                || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> impl Iterator<Item = SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn names_do_not_lead_to_metadata_services() {
        for bad in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
        ] {
            assert!(
                matches!(usable(addresses(&[bad])), Err(DnsError::Forbidden)),
                "{bad}"
            );
        }
        for good in [
            "10.0.0.1",
            "127.0.0.1",
            "192.168.1.1",
            "fd00::1",
            "2001:db8::1",
        ] {
            assert!(usable(addresses(&[good])).is_ok(), "{good}");
        }
    }

    #[test]
    fn of_several_addresses_the_good_ones_are_used() {
        let left = usable(addresses(&["169.254.169.254", "192.0.2.1"])).unwrap();
        assert_eq!(left, addresses(&["192.0.2.1"]).collect::<Vec<_>>());
        assert!(matches!(usable(addresses(&[])), Err(DnsError::NotFound)));
    }
}
