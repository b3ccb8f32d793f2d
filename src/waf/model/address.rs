//! Addresses that a request may name.

use std::net::IpAddr;

use url::{Host, Url};

/// Whether anybody may be sent to this address: https, without credentials, at a public
/// host. What the name leads to is looked at when it is called. `loopback` lets addresses
/// of this machine pass, also by http.
pub(super) fn judge(text: &str, loopback: bool) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let Some(host) = url.host() else { return false };
    let here = loopback && is_loopback(&host);
    let by = url.scheme() == "https" || (here && url.scheme() == "http");
    // A browser takes a backslash for a slash, and other readers do not.
    let plain =
        url.username().is_empty() && url.password().is_none() && !holds_lines(text) && !text.contains('\\');
    by && plain && (here || is_public(&host))
}

/// Whether there is an end of a line or of a text in it, written as an address writes it.
fn holds_lines(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["%0d", "%0a", "%00"].iter().any(|end| text.contains(end))
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn is_public(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let private = [
                "localhost",
                "localdomain",
                "local",
                "internal",
                "svc",
                "lan",
                "corp",
                "home",
                "home.arpa",
                "intranet",
                "private",
            ];
            // Whatever address stands before it is what these lead to.
            let by_name = ["nip.io", "sslip.io", "xip.io", "1u.ms", "rbndr.us", "localtest.me", "lvh.me"];
            let ends =
                |end: &str| name == end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'));
            name.contains('.') && !private.iter().chain(&by_name).any(|end| ends(end))
        }
        Host::Ipv4(address) => domain::is_public(IpAddr::V4(*address)),
        Host::Ipv6(address) => domain::is_public(IpAddr::V6(*address).to_canonical()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_by_https_pass() {
        for good in
            ["https://fintech.example/hooks?x=1", "https://93.184.216.34/", "https://[2a00:1450::1]:8443/a"]
        {
            assert!(judge(good, false), "{good}");
        }
        for bad in [
            "http://fintech.example/",
            "https://user@fintech.example/",
            "https://localhost/",
            "https://intranet/",
            "https://db.internal/",
            "https://127.0.0.1.nip.io/",
            "https://7f000001.a9fea9fe.rbndr.us/events",
            "https://fintech.example\\@elsewhere.example/cb",
            "https://kubernetes.default.svc/api",
            "https://fintech.example/cb?x=%0D%0ALocation:%20https://elsewhere.example",
            "https://10.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "gopher://fintech.example/",
            "//fintech.example",
            "fintech",
            "",
        ] {
            assert!(!judge(bad, false), "{bad}");
        }
        assert!(judge("https://localhost:8443/x", true) && judge("http://127.0.0.1:1/", true));
        assert!(!judge("https://10.0.0.1/", true));
    }
}
