//! A client that wants another handshake inside of its connection (RFC 5246 §7.4.1.2). TLS libraries that are in use
//! do not ask for that any more, so the record is made here, with the keys of a connection that a library made.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use rustls::crypto::aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::Site;

/// Bytes of an initialization vector that are not sent along (RFC 5288 §3).
const SALT: usize = 4;

/// The suite that is spoken here.
const SUITE: SupportedCipherSuite = TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;

/// The same site, reached by the protocol in which one can ask. Made once: a configuration costs more than a connection.
pub fn prepared(site: &Site) -> anyhow::Result<Site> {
    site.older(SUITE)
}

/// Asks, and asks again, until the other side has enough. The site is one that was [`prepared`].
pub async fn ask(site: &Site, made: &AtomicU64) -> anyhow::Result<()> {
    let SupportedCipherSuite::Tls12(suite) = SUITE else {
        bail!("it is a suite of TLS 1.2");
    };
    let stream = site.tls().await?;
    let (mut stream, connection) = stream.into_inner();
    let (mut sequence, secrets) = connection.dangerous_extract_secrets()?.tx;
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
        bail!("another suite was agreed on")
    };
    let (salt, explicit) = iv.as_ref().split_at_checked(SALT).context("a short vector")?;
    let mut encrypter = suite.aead_alg.encrypter(key, salt, explicit);
    let hello = client_hello();
    loop {
        let message = OutboundPlainMessage {
            typ: ContentType::Handshake,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(&hello),
        };
        let record = encrypter.encrypt(message, sequence)?.encode();
        sequence = sequence.saturating_add(1);
        stream.write_all(&record).await?;
        made.fetch_add(1, Ordering::Relaxed);
        let mut answer = [0; 512];
        if stream.read(&mut answer).await? == 0 {
            return Ok(());
        }
    }
}

/// The first message of a handshake, with nothing that would be optional.
fn client_hello() -> Vec<u8> {
    let suite = u16::from(rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256).to_be_bytes();
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2], &suite, &[1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    [&[1, 0, 0, length][..], &body].concat()
}
