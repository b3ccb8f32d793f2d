//! A handshake of TLS 1.2 by hand (RFC 5246), because no library renegotiates any more.
//!
//! X25519 or P-256, AES-128-GCM and SHA-256 only. The server's signature is not looked at: the
//! question is what the server does when its client wants to start over.

use std::time::Duration;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::exchange::open;
use super::reply::End;
use super::wire::{
    ALERT, APPLICATION_DATA, CERTIFICATE, CHANGE_CIPHER_SPEC, CLIENT_KEY_EXCHANGE, FINISHED, HANDSHAKE, In,
    MOST, Out, message, records, vec8,
};
use super::{Greeting, Hello, Place, Reply, TLS12, Unreachable};

/// What a server did when its client wanted to renegotiate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The first handshake did not end, for this reason.
    NotBegun(String),
    /// It refused, with this alert.
    Refused(u8),
    /// It closed the connection.
    Closed,
    /// It passed the greeting over and answered the request that came behind it.
    PassedOver,
    /// It said nothing.
    Silent,
    /// It began a second handshake.
    Agreed,
}

/// Ends a handshake of TLS 1.2 and then greets again inside it.
pub(super) async fn renegotiate(place: &Place, within: Duration) -> Result<Again, Unreachable> {
    let until = Instant::now() + within;
    let stream = open(place, until).await?;
    let mut link = Link::new(stream);
    let mut inside = match timeout_at(until, begin(place, &mut link)).await {
        Ok(Ok(inside)) => inside,
        Ok(Err(why)) => return Ok(Again::NotBegun(why.to_owned())),
        Err(_) => return Ok(Again::NotBegun("the server was too slow".into())),
    };
    Ok(timeout_at(until, inside.greet_again(place, &mut link)).await.unwrap_or(Again::Silent))
}

pub(super) struct Link {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Link {
    pub const fn new(stream: TcpStream) -> Self {
        Self { stream, bytes: Vec::new() }
    }

    /// The next record, or `None` where the connection ends.
    pub async fn record(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let mut rest = In(&self.bytes);
            if let (Some(kind), Some(_), Some(payload)) = (rest.u8(), rest.u16(), rest.vec16()) {
                let (payload, rest) = (payload.to_vec(), rest.0.to_vec());
                self.bytes = rest;
                return Some((kind, payload));
            }
            match self.stream.read_buf(&mut self.bytes).await {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.stream.write_all(bytes).await.map_err(|_| "the server closed the connection")
    }
}

/// One direction's key, and how many records it has sealed or opened.
pub(super) struct Half {
    key: LessSafeKey,
    salt: [u8; 4],
    count: u64,
}

impl Half {
    fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).ok()?);
        Some(Self { key, salt: salt.try_into().ok()?, count: 0 })
    }

    /// RFC 5288 §3: four bytes of the key block, and eight that travel with the record.
    fn nonce(&self, explicit: [u8; 8]) -> Option<Nonce> {
        Nonce::try_assume_unique_for_key(&[self.salt.as_slice(), &explicit].concat()).ok()
    }

    /// RFC 5246 §6.2.3.3: what else is authenticated.
    fn aad(&mut self, kind: u8, length: usize) -> Aad<Vec<u8>> {
        let mut aad = Out::default();
        aad.bytes(&self.count.to_be_bytes()).u8(kind).u16(TLS12).u16(u16::try_from(length).unwrap_or(0));
        self.count += 1;
        Aad::from(aad.0)
    }

    pub fn seal(&mut self, kind: u8, plain: &[u8]) -> Option<Vec<u8>> {
        let explicit = self.count.to_be_bytes();
        let nonce = self.nonce(explicit)?;
        let aad = self.aad(kind, plain.len());
        let mut sealed = plain.to_vec();
        self.key.seal_in_place_append_tag(nonce, aad, &mut sealed).ok()?;
        Some(records(kind, TLS12, &[explicit.as_slice(), &sealed].concat(), MOST))
    }

    pub fn open(&mut self, kind: u8, record: &[u8]) -> Option<Vec<u8>> {
        let (explicit, sealed) = record.split_at_checked(8)?;
        let nonce = self.nonce(explicit.try_into().ok()?)?;
        let aad = self.aad(kind, sealed.len().checked_sub(AES_128_GCM.tag_len())?);
        let mut sealed = sealed.to_vec();
        Some(self.key.open_in_place(nonce, aad, &mut sealed).ok()?.to_vec())
    }
}

/// A connection whose handshake ended.
struct Inside {
    ours: Half,
    theirs: Half,
    verify_data: Vec<u8>,
}

impl Inside {
    async fn greet_again(&mut self, place: &Place, link: &mut Link) -> Again {
        // RFC 5746 §3.5: a client that renegotiates says how its first handshake ended.
        let greeting = Greeting { renegotiation_info: Some(self.verify_data.clone()), ..first(place) };
        // A server may keep its alert until it has something else to say, so it is given reason to.
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", place.host);
        let greeting = self.ours.seal(HANDSHAKE, &greeting.message());
        let request = self.ours.seal(APPLICATION_DATA, request.as_bytes());
        let (Some(greeting), Some(request)) = (greeting, request) else {
            return Again::NotBegun("the second greeting could not be sealed".into());
        };
        if link.send(&[greeting, request].concat()).await.is_err() {
            return Again::Closed;
        }
        while let Some((kind, record)) = link.record().await {
            let Some(plain) = self.theirs.open(kind, &record) else {
                return Again::NotBegun("what the server said could not be opened".into());
            };
            match (kind, plain.as_slice()) {
                (ALERT, [_, 0, ..]) => return Again::Closed,
                (ALERT, [_, code, ..]) => return Again::Refused(*code),
                (APPLICATION_DATA, [_, ..]) => return Again::PassedOver,
                // A HelloRequest (type 0) asks for what was just done.
                (HANDSHAKE, [kind, ..]) if *kind != 0 => return Again::Agreed,
                _ => {}
            }
        }
        Again::Closed
    }
}

fn first(place: &Place) -> Greeting {
    Greeting {
        suites: vec![0xc02b, 0xc02f],
        groups: Some(vec![0x001d, 0x0017]),
        ..Greeting::careful12(place)
    }
}

async fn begin(place: &Place, link: &mut Link) -> Result<Inside, &'static str> {
    let greeting = first(place);
    let mut said = greeting.message();
    link.send(&records(HANDSHAKE, TLS12, &said, MOST)).await?;
    let hello = hear(link, &mut said).await?;

    let (public, secret) = agree(&hello).map_err(|_| "no keys could be agreed on")?;
    let mut turn = Vec::new();
    if hello.asks_for_certificate {
        turn.extend(message(CERTIFICATE, &[0, 0, 0]));
    }
    turn.extend(message(CLIENT_KEY_EXCHANGE, &vec8(&public)));
    said.extend_from_slice(&turn);

    let chance = [greeting.random.as_slice(), &hello.random].concat();
    let master = if hello.extended_master_secret() {
        derive(&secret, b"extended master secret", digest(&SHA256, &said).as_ref(), 48)
    } else {
        derive(&secret, b"master secret", &chance, 48)
    };
    let chance = [hello.random.as_slice(), &greeting.random].concat();
    let (mut ours, mut theirs) =
        halves(&derive(&master, b"key expansion", &chance, 40)).ok_or("no keys could be made")?;

    let verify_data = derive(&master, b"client finished", digest(&SHA256, &said).as_ref(), 12);
    let finished =
        ours.seal(HANDSHAKE, &message(FINISHED, &verify_data)).ok_or("the end could not be sealed")?;
    let mut bytes = records(HANDSHAKE, TLS12, &turn, MOST);
    bytes.extend(records(CHANGE_CIPHER_SPEC, TLS12, &[1], MOST));
    bytes.extend(finished);
    link.send(&bytes).await?;

    // A ticket may come in the clear; then the change, then the server's end.
    loop {
        match link.record().await.ok_or("the server closed the connection before the handshake's end")? {
            (HANDSHAKE, _) => {}
            (CHANGE_CIPHER_SPEC, _) => break,
            _ => return Err("the server refused to end the handshake"),
        }
    }
    let (kind, record) = link.record().await.ok_or("the server closed the connection before its end")?;
    theirs.open(kind, &record).ok_or("the server's end could not be opened")?;
    Ok(Inside { ours, theirs, verify_data })
}

/// The server's turn: what it says, and its messages for the handshake's hash.
async fn hear(link: &mut Link, said: &mut Vec<u8>) -> Result<Hello, &'static str> {
    let mut bytes = Vec::new();
    loop {
        let Some((kind, payload)) = link.record().await else {
            return Err("the server closed the connection");
        };
        bytes.extend(records(kind, TLS12, &payload, usize::from(u16::MAX)));
        if kind == HANDSHAKE {
            said.extend_from_slice(&payload);
        }
        match Reply::read(&bytes, None) {
            None => {}
            Some(Reply::Hello(hello)) if hello.whole && hello.version == TLS12 => return Ok(*hello),
            Some(_) => return Err("the server does not take TLS 1.2 with ECDHE and AES-128-GCM"),
        }
        if matches!(Reply::read(&bytes, Some(End::Closed)), Some(Reply::Garbled(_))) {
            return Err("the server said something that is not TLS");
        }
    }
}

/// The client's public value and the secret.
fn agree(hello: &Hello) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    let algorithm = if hello.group == Some(0x001d) { &X25519 } else { &ECDH_P256 };
    let ours = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new())?;
    let public = ours.compute_public_key()?.as_ref().to_vec();
    let theirs = UnparsedPublicKey::new(algorithm, &hello.public);
    let secret = agreement::agree_ephemeral(ours, &theirs, <[u8]>::to_vec)?;
    Ok((public, secret))
}

/// RFC 5246 §6.3 for AES-128-GCM: two keys and two salts, no MAC keys.
pub(super) fn halves(block: &[u8]) -> Option<(Half, Half)> {
    let mut block = In(block);
    let (ours, theirs) = (block.take(16)?, block.take(16)?);
    let (our_salt, their_salt) = (block.take(4)?, block.take(4)?);
    Some((Half::new(ours, our_salt)?, Half::new(theirs, their_salt)?))
}

/// The PRF of RFC 5246 §5 with SHA-256.
pub(super) fn derive(secret: &[u8], label: &[u8], seed: &[u8], length: usize) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let seed = [label, seed].concat();
    let mut out = Vec::new();
    let mut a = hmac::sign(&key, &seed);
    while out.len() < length {
        out.extend_from_slice(hmac::sign(&key, &[a.as_ref(), &seed].concat()).as_ref());
        a = hmac::sign(&key, a.as_ref());
    }
    out.truncate(length);
    out
}
