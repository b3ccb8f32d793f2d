//! Servers that write hellos by hand and finish no handshake.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::greeting::chance;
use super::super::reply::RETRY;
use super::super::wire::{
    ALERT, CERTIFICATE, HANDSHAKE, MOST, Out, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE,
    extension, message, numbers, records, vec8, vec16,
};
use super::super::{Problem, TLS12, TLS13, suites};
use super::heard::{Heard, Progress};
use super::{Authority, HOST, Served, again};

/// How a raw server behaves.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub versions: Vec<u16>,
    pub suites: Vec<u16>,
    pub suites13: Vec<u16>,
    pub groups: Vec<u16>,
    pub prime: usize,
    pub renegotiation_info: bool,
    pub extended_master_secret: bool,
    pub compresses: bool,
    pub looks_at_fallback: bool,
    pub echoes_early_data: bool,
    pub chooses: Option<u16>,
    pub on_garbage: fn(&[u8]) -> Trouble,
    pub renegotiates: bool,
    troubles: Vec<(When, Trouble)>,
    pub chain: Vec<Vec<u8>>,
}

/// Whether a greeting meets trouble.
pub(super) type When = fn(&Heard) -> bool;

/// What happens instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Refuse(u8),
    Hang,
    Page,
    Ssl2,
}

pub(super) async fn serve(manner: Manner) -> Result<Served, Problem> {
    let manner = Arc::new(manner);
    super::listen(move |stream| {
        let manner = Arc::clone(&manner);
        async move { manner.meet(stream).await.unwrap_or_default() }
    })
    .await
}

impl Manner {
    /// What a careful server would say.
    pub fn careful(authority: &Authority) -> Result<Self, Problem> {
        let chain = authority.sign(HOST, (-5, 5))?.chain;
        Ok(Self {
            versions: vec![TLS12, TLS13],
            suites: suites::RECOMMENDED.to_vec(),
            suites13: vec![0x1301, 0x1302],
            groups: vec![0x001d, 0x0017],
            prime: 256,
            renegotiation_info: true,
            extended_master_secret: true,
            compresses: false,
            looks_at_fallback: true,
            echoes_early_data: false,
            chooses: None,
            on_garbage: |_| Trouble::Refuse(DECODE_ERROR),
            renegotiates: false,
            troubles: vec![
                (|heard| heard.knows_sha1_only(), Trouble::Refuse(HANDSHAKE_FAILURE)),
                (|heard| heard.doubled(), Trouble::Refuse(ILLEGAL_PARAMETER)),
                (|heard| heard.renegotiates(), Trouble::Refuse(HANDSHAKE_FAILURE)),
                (|heard| heard.groups().is_some_and(|all| all.is_empty()), Trouble::Refuse(DECODE_ERROR)),
            ],
            chain: chain.iter().map(|der| der.to_vec()).collect(),
        })
    }

    /// Leaves out what the careful server looks at first.
    pub fn signs_over_sha1(&mut self) {
        self.troubles.remove(0);
    }

    /// Greetings that this server does not bear, before all others.
    pub fn meets(&mut self, when: When, trouble: Trouble) {
        self.troubles.insert(0, (when, trouble));
    }

    /// Hears a greeting and answers it. `None` where the connection ends.
    async fn meet(&self, mut stream: TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        let heard = loop {
            match Heard::read(&bytes) {
                Progress::Greeting(heard) => break Ok(heard),
                Progress::Nonsense => break Err((self.on_garbage)(&bytes)),
                Progress::More => {}
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        if let Ok(heard) = &heard
            && self.renegotiates
            && self.trouble(heard).is_none()
            && self.version(heard) == Ok(TLS12)
        {
            return again::meet(stream, heard, self).await;
        }
        let answer = heard.and_then(|heard| self.trouble(&heard).map_or_else(|| self.answer(&heard), Err));
        let said = match answer {
            Ok(said) => said,
            Err(Trouble::Refuse(code)) => alert(code),
            Err(Trouble::Page) => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Err(Trouble::Ssl2) => SSL2_HELLO.to_vec(),
            Err(Trouble::Hang) => {
                while stream.read_buf(&mut bytes).await.ok()? > 0 {
                    bytes.clear();
                }
                return None;
            }
        };
        stream.write_all(&said).await.ok()?;
        // Whatever follows cannot be answered: the keys were never there.
        bytes.clear();
        if stream.read_buf(&mut bytes).await.ok()? > 0 {
            stream.write_all(&alert(HANDSHAKE_FAILURE)).await.ok()?;
        }
        stream.shutdown().await.ok()
    }

    fn trouble(&self, heard: &Heard) -> Option<Trouble> {
        self.troubles.iter().find(|(when, _)| when(heard)).map(|(_, trouble)| *trouble)
    }

    fn answer(&self, heard: &Heard) -> Result<Vec<u8>, Trouble> {
        match self.version(heard)? {
            TLS13 => self.thirteen(heard),
            older => Ok(records(HANDSHAKE, older, &self.turn(heard, older, &chance())?, MOST)),
        }
    }

    /// The newest version that both know.
    fn version(&self, heard: &Heard) -> Result<u16, Trouble> {
        let offered = heard.versions();
        let newest = self
            .versions
            .iter()
            .copied()
            .filter(|version| match &offered {
                Some(offered) => offered.contains(version),
                None => *version <= heard.legacy_version.min(TLS12),
            })
            .max()
            .ok_or(Trouble::Refuse(PROTOCOL_VERSION))?;
        let known = self.versions.iter().copied().max().unwrap_or(newest);
        if self.looks_at_fallback && newest < known && heard.suites.contains(&suites::FALLBACK_SCSV) {
            return Err(Trouble::Refuse(INAPPROPRIATE_FALLBACK));
        }
        Ok(newest)
    }

    fn thirteen(&self, heard: &Heard) -> Result<Vec<u8>, Trouble> {
        let suite = first(&self.suites13, &heard.suites)?;
        let shares = heard.shares();
        let mut extensions = vec![(extension::SUPPORTED_VERSIONS, numbers(&[TLS13]))];
        if self.echoes_early_data && heard.extension(extension::EARLY_DATA).is_some() {
            extensions.push((extension::EARLY_DATA, Vec::new()));
        }
        let random = if let Ok(group) = first(&self.groups, &shares) {
            let share = [numbers(&[group]), vec16(&chance())].concat();
            extensions.push((extension::KEY_SHARE, share));
            chance()
        } else {
            let group = first(&self.groups, &heard.groups().unwrap_or_default())?;
            extensions.push((extension::KEY_SHARE, numbers(&[group])));
            RETRY.to_vec()
        };
        let hello = hello(TLS12, &random, &heard.session_id, suite, 0, &extensions);
        Ok(records(HANDSHAKE, TLS12, &hello, MOST))
    }

    /// The server's turn up to TLS 1.2, with this public value where the group is a curve.
    pub fn turn(&self, heard: &Heard, version: u16, public: &[u8]) -> Result<Vec<u8>, Trouble> {
        let suite = match self.chooses {
            Some(suite) => suite,
            None => first(&self.suites, &heard.suites)?,
        };
        let mut extensions = Vec::new();
        if self.renegotiation_info && heard.extension(extension::RENEGOTIATION_INFO).is_some() {
            extensions.push((extension::RENEGOTIATION_INFO, vec![0]));
        }
        if self.extended_master_secret && heard.extension(extension::EXTENDED_MASTER_SECRET).is_some() {
            extensions.push((extension::EXTENDED_MASTER_SECRET, Vec::new()));
        }
        let compression = u8::from(self.compresses && heard.compression.contains(&1));
        let mut said = hello(version, &chance(), &[], suite, compression, &extensions);
        said.extend(self.certificates());
        said.extend(self.key_exchange(heard, suite, public)?);
        said.extend(message(SERVER_HELLO_DONE, &[]));
        Ok(said)
    }

    /// The message with the chain.
    fn certificates(&self) -> Vec<u8> {
        let mut list = Out::default();
        for der in &self.chain {
            list.vec24(der);
        }
        let mut body = Out::default();
        body.vec24(&list.0);
        message(CERTIFICATE, &body.0)
    }

    /// Parameters that look right, under a signature that is not.
    fn key_exchange(&self, heard: &Heard, suite: u16, public: &[u8]) -> Result<Vec<u8>, Trouble> {
        let mut body = Out::default();
        if suites::is_dhe(suite) {
            let number = vec![0xa5; self.prime];
            body.vec16(&number).vec16(&[2]).vec16(&number);
        } else if suites::is_ecdhe(suite) {
            let group = match heard.groups() {
                Some(offered) => first(&self.groups, &offered)?,
                None => self.groups.first().copied().ok_or(Trouble::Refuse(HANDSHAKE_FAILURE))?,
            };
            body.u8(3).u16(group).vec8(public);
        } else {
            return Ok(Vec::new());
        }
        body.u16(0x0403).vec16(&chance());
        Ok(message(SERVER_KEY_EXCHANGE, &body.0))
    }
}

/// The server's favourite among what is offered.
fn first(ours: &[u16], theirs: &[u16]) -> Result<u16, Trouble> {
    ours.iter().copied().find(|code| theirs.contains(code)).ok_or(Trouble::Refuse(HANDSHAKE_FAILURE))
}

/// A `ServerHello`.
fn hello(
    version: u16,
    random: &[u8],
    session: &[u8],
    suite: u16,
    compression: u8,
    all: &[(u16, Vec<u8>)],
) -> Vec<u8> {
    let mut extensions = Out::default();
    for (kind, data) in all {
        extensions.u16(*kind).vec16(data);
    }
    let mut body = Out::default();
    body.u16(version).bytes(random).bytes(&vec8(session)).u16(suite).u8(compression);
    if !all.is_empty() {
        body.vec16(&extensions.0);
    }
    message(SERVER_HELLO, &body.0)
}

fn alert(code: u8) -> Vec<u8> {
    records(ALERT, TLS12, &[2, code], MOST)
}

const HANDSHAKE_FAILURE: u8 = 40;
pub(super) const ILLEGAL_PARAMETER: u8 = 47;
pub(super) const DECODE_ERROR: u8 = 50;
pub(super) const PROTOCOL_VERSION: u8 = 70;
const INAPPROPRIATE_FALLBACK: u8 = 86;
pub(super) const UNSUPPORTED_EXTENSION: u8 = 110;

/// A hello of SSL 2.0 that agrees to RC4, without its certificate.
const SSL2_HELLO: [u8; 16] = [0x80, 14, 4, 0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 1, 0, 0x80];
