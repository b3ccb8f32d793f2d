//! The PROXY protocol.

use consentry_edge::Closed;
use consentry_edge::proxy_protocol::{NoHeader, named};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{GET_AND_CLOSE, Gate, Plan, ask, rest};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

async fn behind(network: &str) -> Gate {
    let mut plan = Plan::new();
    plan.config.proxies = vec![network.parse().unwrap()];
    plan.start().await
}

/// Version 2: command and version, family and protocol, then what follows.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

fn v4() -> Vec<u8> {
    v2(0x21, 0x11, &[192, 0, 2, 7, 127, 0, 0, 1, 0x30, 0x39, 1, 0xbb])
}

/// The answer to a request behind this header; `None` if the connection was closed.
async fn said(gate: &Gate, header: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    // In two pieces, as it may come.
    let (begin, end) = header.split_at(header.len() / 2);
    stream.write_all(begin).await.unwrap();
    tokio::task::yield_now().await;
    // Who is refused by its beginning does not get to the end.
    stream.write_all(end).await.ok()?;
    let mut stream = gate.client().over(stream).await.ok()?;
    Some(ask(&mut stream, GET_AND_CLOSE).await)
}

#[tokio::test]
async fn the_address_of_a_header_is_the_peers() {
    let gate = behind("127.0.0.0/8").await;
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    v6[15] = 9;
    v6[32..].copy_from_slice(&[0x30, 0x39, 1, 0xbb]);
    let mut extras = v4();
    extras.splice(14..16, 19_u16.to_be_bytes());
    extras.extend([0x04, 0, 4, 1, 2, 3, 4]);
    for (header, address) in [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\n".to_vec(), "192.0.2.7:12345"),
        (b"PROXY TCP6 2001:db8::9 ::1 12345 443\r\n".to_vec(), "[2001:db8::9]:12345"),
        (v4(), "192.0.2.7:12345"),
        (v2(0x21, 0x21, &v6), "[2001:db8::9]:12345"),
        (extras, "192.0.2.7:12345"),
    ] {
        let answer = said(&gate, &header).await.unwrap();
        assert!(answer.contains(&format!("\r\n\r\n{address} ")), "{answer}");
    }
    gate.stop().await;
}

/// The balancer's own connections have the balancer's address.
#[tokio::test]
async fn a_header_without_an_address_changes_nothing() {
    let gate = behind("127.0.0.1/32").await;
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, 0, &[]), v2(0x21, 0, &[])] {
        let answer = said(&gate, &header).await.unwrap();
        assert!(answer.contains("\r\n\r\n127.0.0.1:"), "{answer}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_bad_header_is_refused() {
    let gate = behind("127.0.0.1/32").await;
    let mut counted = 0;
    for header in [
        b"PROXY TCP4 192.0.2.7 127.0.0.1 123456 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.700 127.0.0.1 1 443\r\n".to_vec(),
        b"PROXY TCP9 192.0.2.7 127.0.0.1 1 443\r\n".to_vec(),
        [b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
        b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        // A version that there is not, a datagram, a socket of Unix, extras without end.
        v2(0x31, 0x11, &[0; 12]),
        v2(0x21, 0x12, &[0; 12]),
        v2(0x21, 0x31, &[0; 216]),
        v2(0x21, 0x11, &[0; 4]),
        [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 100]].concat(),
    ] {
        assert_eq!(said(&gate, &header).await, None, "{}", String::from_utf8_lossy(&header));
        counted += 1;
        gate.closed(Closed::ProxyHeader, counted).await;
    }
    // No header at all, from one who owes it.
    assert!(gate.client().connect(gate.address).await.is_err());
    gate.closed(Closed::ProxyHeader, counted + 1).await;
    gate.stop().await;
}

#[tokio::test]
async fn a_stranger_may_come_but_say_no_address() {
    let gate = behind("203.0.113.0/24").await;
    for header in [b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\n".to_vec(), v4()] {
        assert_eq!(said(&gate, &header).await, None);
    }
    gate.closed(Closed::ProxyHeader, 2).await;
    gate.assert_well().await;
    gate.stop().await;
    // Where nobody may send one it is no TLS.
    let gate = Gate::start().await;
    assert_eq!(said(&gate, &v4()).await, None);
    gate.closed(Closed::HandshakeFailed, 1).await;
    gate.stop().await;
}

/// The address that is said is the one whose connections are counted.
#[tokio::test]
async fn the_cap_is_of_the_address_in_the_header() {
    let mut plan = Plan::new();
    plan.config.proxies = vec!["127.0.0.1/32".parse().unwrap()];
    plan.config.max_per_address = 1;
    let gate = plan.start().await;
    let from = async |address: &str| {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        let header = format!("PROXY TCP4 {address} 127.0.0.1 12345 443\r\n");
        stream.write_all(header.as_bytes()).await.unwrap();
        stream
    };
    let _first = gate.client().over(from("192.0.2.1").await).await.unwrap();
    let _second = gate.client().over(from("192.0.2.2").await).await.unwrap();
    assert_eq!(rest(&mut from("192.0.2.1").await).await, "");
    gate.closed(Closed::AddressCap, 1).await;
    gate.stop().await;
}

/// A line feed alone ends no header of version 1, whatever follows one that is whole is not it.
#[test]
fn a_header_is_whole_or_none() {
    let whole = b"PROXY TCP4 192.0.2.7 127.0.0.1 12345 443\r\n";
    let address = Some("192.0.2.7:12345".parse().unwrap());
    assert_eq!(named(whole), Ok(address));
    assert_eq!(named(&[whole.as_slice(), b"GET / HTTP/1.1\r\n\r\n"].concat()), Ok(address));
    assert_eq!(named(&v4()), Ok(address));
    for cut in [b"PROXY UNKNOWN ffff::1 x \n".as_slice(), &whole[..whole.len() - 1], &v4()[..20], b""] {
        assert_eq!(named(cut), Err(NoHeader), "{cut:?}");
    }
}
