//! A server that lets its client start over, with a handshake of TLS 1.2 by hand.

use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use tokio::net::TcpStream;

use super::super::Problem;
use super::super::greeting::chance;
use super::super::twelve::{Link, derive, halves};
use super::super::wire::{
    CHANGE_CIPHER_SPEC, FINISHED, HANDSHAKE, In, MOST, Out, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE,
    extension, message, records,
};
use super::heard::{Heard, Progress};
use super::raw::{Manner, hello};
use super::{Served, TLS12};

pub(super) async fn serve(manner: &Manner) -> Result<Served, Problem> {
    let certificates = manner.certificates();
    super::listen(move |stream| {
        let certificates = certificates.clone();
        async move { meet(stream, certificates).await.unwrap_or_default() }
    })
    .await
}

/// One handshake, and the beginning of another. `None` where the connection ends.
async fn meet(stream: TcpStream, certificates: Vec<u8>) -> Option<()> {
    let mut link = Link::new(stream);
    let mut bytes = Vec::new();
    let heard = loop {
        let (kind, payload) = link.record().await?;
        bytes.extend(records(kind, TLS12, &payload, MOST));
        match Heard::read(&bytes) {
            Progress::Greeting(heard) => break heard,
            Progress::Nonsense => return None,
            Progress::More => {}
        }
    };
    let random = chance();
    let ours = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).ok()?;
    let greeting = hello(TLS12, &random, &[], 0xc02b, 0, &[(extension::RENEGOTIATION_INFO, vec![0])]);
    let mut exchange = Out::default();
    exchange.u8(3).u16(0x001d).vec8(ours.compute_public_key().ok()?.as_ref()).u16(0x0403).vec16(&chance());
    let mut turn = greeting.clone();
    turn.extend(certificates);
    turn.extend(message(SERVER_KEY_EXCHANGE, &exchange.0));
    turn.extend(message(SERVER_HELLO_DONE, &[]));
    link.send(&records(HANDSHAKE, TLS12, &turn, MOST)).await.ok()?;

    let (_, key_exchange) = link.record().await?;
    let public = In(key_exchange.get(4..)?).vec8()?;
    let theirs = UnparsedPublicKey::new(&X25519, public);
    let secret = agree_ephemeral(ours, &theirs, <[u8]>::to_vec).ok()?;
    let master = derive(&secret, b"master secret", &[heard.random.as_slice(), &random].concat(), 48);
    let block = derive(&master, b"key expansion", &[random.as_slice(), &heard.random].concat(), 40);
    let (mut client, mut server) = halves(&block)?;
    let (_change, (kind, finished)) = (link.record().await?, link.record().await?);
    let finished = client.open(kind, &finished)?;

    let said = [heard.message.as_slice(), &turn, &key_exchange, &finished].concat();
    let verify_data = derive(&master, b"server finished", digest(&SHA256, &said).as_ref(), 12);
    let mut end = records(CHANGE_CIPHER_SPEC, TLS12, &[1], MOST);
    end.extend(server.seal(HANDSHAKE, &message(FINISHED, &verify_data))?);
    link.send(&end).await.ok()?;

    let (kind, record) = link.record().await?;
    if kind == HANDSHAKE && client.open(kind, &record).is_some() {
        link.send(&server.seal(HANDSHAKE, &greeting)?).await.ok()?;
    }
    while link.record().await.is_some() {}
    Some(())
}
