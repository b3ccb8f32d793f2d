//! HTTP/2 as no library of clients would send it: frame by frame (RFC 9113), fields as they come (RFC 7541).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Gate, PATIENCE};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A number behind a pattern of bits (RFC 7541 §5.1).
fn number(pattern: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = 2_usize.pow(bits) - 1;
    let byte = |number: usize| u8::try_from(number).unwrap();
    if value < most {
        return vec![pattern | byte(value)];
    }
    let (mut bytes, mut left) = (vec![pattern | byte(most)], value - most);
    while left >= 128 {
        bytes.push(byte(left % 128) | 128);
        left /= 128;
    }
    bytes.push(byte(left));
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [number(0, 7, text.len()), text.as_bytes().to_vec()].concat()
}

/// A field by name and value, which nobody remembers (RFC 7541 §6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// A field that the other side is to remember (RFC 7541 §6.2.1).
pub fn remembered(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], text(name), text(value)].concat()
}

/// The field that it remembered last: one byte (RFC 7541 §6.1, §2.3.3).
pub const LAST_REMEMBERED: u8 = 0x80 | 62;

/// What HTTP/2 says where HTTP/1.1 has a request line.
pub fn pseudo(method: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)];
    fields.map(|(name, value)| field(name, value)).concat()
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    /// An answer with this body.
    Answer(String),
    /// The stream was reset, with this code.
    Reset(u32),
    /// The connection is over, with this code, if one was said.
    Over(Option<u32>),
}

/// A connection on which the preface was said.
pub async fn opened(gate: &Gate) -> TlsStream<TcpStream> {
    let mut stream = gate.client().http2().connect(gate.address).await.unwrap();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    stream
}

/// What comes of stream 1, once these frames are sent.
pub async fn came(gate: &Gate, frames: &[u8]) -> Came {
    let stream = opened(gate).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    // Whoever is closed while it still sends is not told of it.
    let sent = async {
        let _ = writer.write_all(frames).await;
        std::future::pending::<()>().await;
    };
    let answered = tokio::time::timeout(PATIENCE, answered(&mut reader));
    tokio::select! {
        came = answered => came.expect("nothing comes of it"),
        () = sent => unreachable!("it waits"),
    }
}

async fn answered(reader: &mut (impl AsyncReadExt + Unpin)) -> Came {
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        if reader.read_exact(&mut head).await.is_err() {
            return Came::Over(None);
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
        if reader.read_exact(&mut payload).await.is_err() {
            return Came::Over(None);
        }
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match (kind, u32::from_be_bytes(stream)) {
            (DATA | HEADERS, 1) => {
                if kind == DATA {
                    body.extend(&payload);
                }
                if flags & END_STREAM != 0 {
                    return Came::Answer(String::from_utf8(body).unwrap());
                }
            }
            (RESET, 1) => return Came::Reset(code(0)),
            (GO_AWAY, 0) => return Came::Over(Some(code(4))),
            _ => {}
        }
    }
}
