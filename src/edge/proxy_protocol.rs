//! The PROXY protocol (HAProxy, versions 1 and 2): the address of a peer that
//! comes through a load balancer. Only who is named in the configuration may
//! say one, and who is named must.

use std::io;
use std::net::SocketAddr;

use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest header that is read: version 2 may carry extras.
const MOST: usize = 2_048;
/// Longest header of version 1.
const MOST_TEXT: usize = 107;

/// First byte of a TLS record with a handshake in it.
const TLS_HANDSHAKE: u8 = 0x16;

/// The bytes are no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no header of the PROXY protocol")]
pub struct NoHeader;

/// Why there is no address.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The header is missing, malformed or from a stranger.
    Header,
    /// The connection broke off.
    Gone,
}

impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// The address of the peer: that of the header, where one is due, else that of
/// the socket. Reads the header and not one byte more.
pub(crate) async fn address(
    stream: &mut TcpStream,
    socket: SocketAddr,
    proxies: &[IpNet],
) -> Result<SocketAddr, Refused> {
    if proxies.is_empty() {
        return Ok(socket);
    }
    let ip = socket.ip().to_canonical();
    if !proxies.iter().any(|network| network.contains(&ip)) {
        // A stranger may come directly; its header is no greeting, but a lie.
        let mut first = [0];
        return match stream.peek(&mut first).await? {
            0 => Err(Refused::Gone),
            _ if first == [TLS_HANDSHAKE] => Ok(socket),
            _ => Err(Refused::Header),
        };
    }
    let named = named(&header(stream).await?).map_err(|NoHeader| Refused::Header)?;
    Ok(named.unwrap_or(socket))
}

/// The address that a header names; none where the balancer speaks for itself. What follows the
/// header is not looked at.
///
/// # Errors
///
/// [`NoHeader`] if it is none, not whole, or of no TCP connection.
pub fn named(begin: &[u8]) -> Result<Option<SocketAddr>, NoHeader> {
    let length = length(begin)?.ok_or(NoHeader)?;
    match HeaderResult::parse(begin.get(..length).ok_or(NoHeader)?) {
        HeaderResult::V1(Ok(header)) => Ok(of_text(&header.addresses)),
        HeaderResult::V2(Ok(header)) => of_binary(&header),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(NoHeader),
    }
}

/// The bytes of the header. What is peeked at is consumed only as far as it
/// is known to belong to it.
async fn header(stream: &mut TcpStream) -> Result<Vec<u8>, Refused> {
    let mut header = Vec::new();
    let mut window = [0; MOST];
    loop {
        let seen = stream.peek(&mut window).await?;
        let fresh = window.get(..seen).filter(|fresh| !fresh.is_empty()).ok_or(Refused::Gone)?;
        let before = header.len();
        header.extend_from_slice(fresh);
        let length = length(&header).map_err(|NoHeader| Refused::Header)?;
        header.truncate(length.unwrap_or(header.len()));
        let mut taken = vec![0; header.len().saturating_sub(before)];
        stream.read_exact(&mut taken).await?;
        if length.is_some_and(|length| header.len() >= length) {
            return Ok(header);
        }
        if header.len() > MOST {
            return Err(Refused::Header);
        }
    }
}

/// How long the header is that begins like this, in bytes; none if it cannot be told yet.
///
/// # Errors
///
/// [`NoHeader`] if none begins like this, or it is longer than any that is read.
pub fn length(begin: &[u8]) -> Result<Option<usize>, NoHeader> {
    let text = v1::PROTOCOL_PREFIX.as_bytes();
    if begins_like(begin, v2::PROTOCOL_PREFIX) {
        let Some([high, low]) = begin.get(14..16) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*high, *low])).saturating_add(16);
        if length <= MOST { Ok(Some(length)) } else { Err(NoHeader) }
    } else if begins_like(begin, text) {
        let end = begin.windows(2).position(|pair| pair == v1::PROTOCOL_SUFFIX.as_bytes());
        let length = end.map(|end| end.saturating_add(2));
        if length.unwrap_or(begin.len()) <= MOST_TEXT { Ok(length) } else { Err(NoHeader) }
    } else {
        Err(NoHeader)
    }
}

fn begins_like(begin: &[u8], prefix: &[u8]) -> bool {
    begin.iter().zip(prefix).all(|(seen, wanted)| seen == wanted)
}

fn of_text(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
        v1::Addresses::Tcp6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
    }
}

fn of_binary(header: &v2::Header<'_>) -> Result<Option<SocketAddr>, NoHeader> {
    // LOCAL: the balancer itself, looking whether we are here.
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    match (header.protocol, &header.addresses) {
        (_, v2::Addresses::Unspecified) => Ok(None),
        (v2::Protocol::Stream, v2::Addresses::IPv4(ip)) => {
            Ok(Some((ip.source_address, ip.source_port).into()))
        }
        (v2::Protocol::Stream, v2::Addresses::IPv6(ip)) => {
            Ok(Some((ip.source_address, ip.source_port).into()))
        }
        (
            v2::Protocol::Unspecified | v2::Protocol::Datagram | v2::Protocol::Stream,
            v2::Addresses::IPv4(_) | v2::Addresses::IPv6(_) | v2::Addresses::Unix(_),
        ) => Err(NoHeader),
    }
}
