//! HTTP Message Signatures (RFC 9421) and `Content-Digest` (RFC 9530). The first two lines are the
//! headers of a stranger; those after them, `name: value`, are what we sign.

#![no_main]

use std::sync::LazyLock;

use crypto::message_signature::{
    MessageSignature, Parameters, content_digest, sign, verify, verify_content_digest,
};
use crypto::{SigningKey, pki};
use fuzz::line;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pem(&pki::generate_ed25519().expect("a key"), "fuzz").expect("a key"));

fuzz_target!(|data: &[u8]| {
    let (input, rest) = line(data);
    let (signature, rest) = line(rest);
    let [Ok(input), Ok(signature), Ok(rest)] = [input, signature, rest].map(std::str::from_utf8) else {
        return;
    };
    let stranger = MessageSignature { input: input.to_owned(), signature: signature.to_owned() };
    let sent = |_: &str| Some("value".to_owned());
    assert!(verify(&stranger, KEY.public_key(), sent, &[]).is_err(), "nobody else has the key");
    if verify_content_digest(signature, rest.as_bytes()).is_ok() {
        let digest = content_digest(rest.as_bytes());
        let digest = digest.trim_start_matches("sha-256=:").trim_end_matches(['=', ':']);
        assert!(signature.contains(&digest[..digest.len() - 1]), "another digest");
    }
    assert_eq!(verify_content_digest(&content_digest(rest.as_bytes()), rest.as_bytes()), Ok(()));
    let components: Vec<(&str, &str)> =
        rest.lines().filter_map(|line| line.split_once(": ")).take(40).collect();
    ours(input, &components);
});

fn ours(key_id: &str, components: &[(&str, &str)]) {
    let parameters =
        Parameters { created: 1_767_225_600, key_id: key_id.to_owned(), tag: Some("fuzz".into()) };
    let Ok(signed) = sign(&KEY, &parameters, components) else { return };
    let value = |wanted: &str| {
        components.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
    };
    let Ok(verified) = verify(&signed, KEY.public_key(), value, &[]) else {
        let twice = components
            .iter()
            .enumerate()
            .any(|(at, (name, _))| components.iter().take(at).any(|(other, _)| other == name));
        let length: usize = components.iter().map(|(name, _)| name.len() + 3).sum();
        assert!(
            twice || components.is_empty() || components.len() > 32 || length + key_id.len() > 7_000,
            "we cannot read what we wrote: {signed:?}"
        );
        return;
    };
    assert_eq!(verified, parameters);
    for (changed, _) in components {
        let other = |name: &str| {
            let value = value(name)?;
            Some(if name == *changed { format!("{value}x") } else { value })
        };
        assert!(verify(&signed, KEY.public_key(), other, &[]).is_err(), "another value of {changed}");
    }
    let missing = |_: &str| None;
    assert!(components.is_empty() || verify(&signed, KEY.public_key(), missing, &[]).is_err());
}
