//! Addresses that a registry must not have unless the settings allow it: on cloud machines anyone who can make a service call them gets its
//! credentials.
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The credentials service of AWS over IPv6, which is not link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether an address is link-local: 169.254.0.0/16, fe80::/10, or one that leads to the same service.
pub(super) fn forbidden_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA_V6,
    }
}

/// Resolves names by the system and leaves out forbidden addresses: a check of the URL alone would not see where a name leads.
#[derive(Debug)]
pub(super) struct FilteredResolver;

impl Resolve for FilteredResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (forbidden, allowed): (Vec<SocketAddr>, Vec<SocketAddr>) = found.partition(|address| forbidden_address(address.ip()));
            if allowed.is_empty() && !forbidden.is_empty() {
                return Err(format!("`{}` leads to a link-local address only, which the settings do not allow", name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_forbidden_in_all_their_forms() {
        for text in ["169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.169.254", "fd00:ec2::254"] {
            assert!(forbidden_address(text.parse().expect("an address")), "{text}");
        }
        for text in ["127.0.0.1", "10.0.0.1", "169.253.0.1", "::1", "fec0::1", "fd00:ec2::253"] {
            assert!(!forbidden_address(text.parse().expect("an address")), "{text}");
        }
    }
}
