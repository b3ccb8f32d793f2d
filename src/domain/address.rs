//! Addresses on the internet.

use std::net::IpAddr;

/// True for an address that belongs to somebody on the internet: none of a
/// private network, this machine, a test or a tunnel. What a stranger names is
/// called at such addresses only. IPv4 in IPv6 has to be made canonical before.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let protocol = (a, b, c) == (192, 0, 0);
            let benchmark = a == 198 && (b == 18 || b == 19);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_unspecified()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || shared
                || protocol
                || benchmark)
        }
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            // Global unicast only, without documentation and the tunnels that carry IPv4.
            (0x2000..0x4000).contains(&first)
                && !(first == 0x2001 && (second == 0x0db8 || second == 0))
                && first != 0x2002
        }
    }
}
