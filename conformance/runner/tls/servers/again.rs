//! A server that lets its client start over, with a handshake of TLS 1.2 by hand.

use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use tokio::net::TcpStream;

use super::super::twelve::{Link, derive, halves};
use super::super::wire::{CHANGE_CIPHER_SPEC, FINISHED, HANDSHAKE, In, MOST, extension, message, records};
use super::TLS12;
use super::heard::Heard;
use super::raw::Manner;

/// One handshake, and the beginning of another. `None` where the connection ends.
///
/// Keys are agreed on over X25519 and for AES-128-GCM with SHA-256, which is what the prober asks for.
pub(super) async fn meet(stream: TcpStream, heard: &Heard, manner: &Manner) -> Option<()> {
    let mut link = Link::new(stream);
    let ours = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).ok()?;
    let turn = manner.turn(heard, TLS12, ours.compute_public_key().ok()?.as_ref()).ok()?;
    link.send(&records(HANDSHAKE, TLS12, &turn, MOST)).await.ok()?;

    let (_, key_exchange) = link.record().await?;
    let theirs = UnparsedPublicKey::new(&X25519, In(key_exchange.get(4..)?).vec8()?);
    let secret = agree_ephemeral(ours, &theirs, <[u8]>::to_vec).ok()?;
    let said = [heard.message.as_slice(), &turn, &key_exchange].concat();
    // A ServerHello begins with its type, its length and its version.
    let (client, server) = (heard.random.as_slice(), turn.get(6..38)?);
    let master = if heard.extension(extension::EXTENDED_MASTER_SECRET).is_some() {
        derive(&secret, b"extended master secret", digest(&SHA256, &said).as_ref(), 48)
    } else {
        derive(&secret, b"master secret", &[client, server].concat(), 48)
    };
    let (mut client, mut server) =
        halves(&derive(&master, b"key expansion", &[server, client].concat(), 40))?;
    let (_change, (kind, finished)) = (link.record().await?, link.record().await?);
    let finished = client.open(kind, &finished)?;

    let said = [said.as_slice(), &finished].concat();
    let verify_data = derive(&master, b"server finished", digest(&SHA256, &said).as_ref(), 12);
    let mut end = records(CHANGE_CIPHER_SPEC, TLS12, &[1], MOST);
    end.extend(server.seal(HANDSHAKE, &message(FINISHED, &verify_data))?);
    link.send(&end).await.ok()?;

    let (kind, record) = link.record().await?;
    if kind == HANDSHAKE && client.open(kind, &record).is_some() {
        link.send(&server.seal(HANDSHAKE, &turn)?).await.ok()?;
    }
    while link.record().await.is_some() {}
    Some(())
}
