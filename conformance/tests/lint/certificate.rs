//! Files, times, keys and usages.

use consentry_conformance::lint::Severity;
use consentry_conformance::lint::certificate::{Kind, check};
use rcgen::{BasicConstraints, IsCa, KeyPair};

use crate::der::{oid, seq, tlv};
use crate::forge::{
    AUTHORITY_INFO, CA_ISSUERS, CLIENT_AUTH, EXTENDED, INTERMEDIATE, KEY_USAGE, NOW, POLICIES, Recipe,
    SERVER_AUTH, authority_info, extended, key_usage, labelled, pem, policies, reforged, rules,
};

const KINDS: [Kind; 4] = [Kind::Qwac, Kind::QSeal, Kind::Obwac, Kind::ObSeal];

#[test]
fn a_good_certificate_of_each_kind_gives_no_finding_and_is_known_by_its_looks() {
    for kind in KINDS {
        let recipe = Recipe::good(kind);
        let judged = check(recipe.pem().as_bytes(), None, NOW);
        assert_eq!(judged.findings, [], "{}", kind.as_str());
        assert_eq!(judged.kind, Some(kind));
    }
}

#[test]
fn the_same_certificate_may_come_in_der() {
    assert_eq!(check(&Recipe::qwac().der(), None, NOW).findings, []);
}

#[test]
fn without_a_type_the_usages_tell_the_kind() {
    let bare = |kind| Recipe { statements: None, ..Recipe::good(kind) };
    for kind in [Kind::Qwac, Kind::QSeal] {
        let judged = check(bare(kind).pem().as_bytes(), None, NOW);
        assert_eq!(judged.kind, Some(kind));
        assert_eq!(rules(&judged), ["qc-statements-missing"]);
    }
    // The type goes first: a seal that may be used for connections is still a seal.
    let seal = Recipe::good(Kind::QSeal).set_extension(EXTENDED, Some((false, extended(&[CLIENT_AUTH]))));
    assert_eq!(check(seal.pem().as_bytes(), None, NOW).kind, Some(Kind::QSeal));
}

#[test]
fn every_finding_has_its_clause_a_sentence_and_a_place() {
    let judged = check(Recipe::good(Kind::QSeal).pem().as_bytes(), Some(Kind::Qwac), NOW);
    assert!(judged.findings.len() > 3);
    for finding in judged.findings {
        assert!(!finding.clause.is_empty() && !finding.says.is_empty(), "{finding:?}");
        assert!(finding.at.is_some() && finding.meant.is_some(), "{finding:?}");
        assert!(!finding.says.ends_with('.'), "{finding:?}");
    }
}

fn of_file(file: &[u8]) -> Vec<&'static str> {
    rules(&check(file, Some(Kind::Qwac), NOW))
}

#[test]
fn what_is_no_certificate_is_named() {
    assert_eq!(of_file(b""), ["file-empty"]);
    assert_eq!(of_file(&[0xff, 0xfe, 1]), ["certificate-unreadable"]);
    assert_eq!(of_file(pem(&[0x30, 0x03, 0x02, 0x01, 0x01]).as_bytes()), ["certificate-unreadable"]);
}

#[test]
fn rfc_7468_labels_have_to_be_right() {
    let recipe = Recipe::qwac();
    let issuer = pem(&INTERMEDIATE.der);
    let file = labelled("X509 CERTIFICATE", &recipe.der()) + &issuer;
    assert_eq!(of_file(file.as_bytes()), ["pem-label"]);
    let request = check(labelled("CERTIFICATE REQUEST", &recipe.der()).as_bytes(), None, NOW);
    assert_eq!(rules(&request), ["pem-label"]);
    assert_eq!(request.kind, None);
    let wrong_end = recipe.pem().replacen("-----END CERTIFICATE", "-----END CERT", 1);
    assert_eq!(of_file(wrong_end.as_bytes())[0], "pem-broken");
    let cut = recipe.pem();
    assert_eq!(of_file(&cut.as_bytes()[..400]), ["pem-broken"]);
    let bare = recipe.pem().lines().skip(1).take_while(|line| !line.starts_with('-')).collect::<String>();
    assert_eq!(of_file(bare.as_bytes()), ["pem-lines-missing", "chain-absent"]);
}

#[test]
fn a_private_key_in_the_file_is_said_and_not_shown() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let judged = check((Recipe::qwac().pem() + &key).as_bytes(), None, NOW);
    assert_eq!(rules(&judged), ["private-key-in-file"]);
    let secret = key.lines().nth(1).unwrap();
    assert!(!serde_json::to_string(&judged).unwrap().contains(&secret[..16]));
}

#[test]
fn what_is_something_else_is_named() {
    let of = |der: &[u8]| {
        let judged = check(der, None, NOW);
        assert_eq!((judged.kind, judged.findings.len()), (None, 1));
        (judged.findings[0].rule, judged.findings[0].says.clone())
    };
    let key = KeyPair::generate().unwrap();
    assert_eq!(of(&key.serialize_der()).0, "private-key-in-file");
    let sec1 = seq(&[tlv(0x02, &[vec![1]]), tlv(0x04, &[vec![0xc5; 32]])]);
    assert_eq!(of(&sec1).0, "private-key-in-file");
    let params = rcgen::CertificateParams::new(["fintech.example".to_owned()]).unwrap();
    let request = params.serialize_request(&key).unwrap();
    assert!(of(request.der()).1.ends_with("a request for a certificate"));
    let bundle = seq(&[oid("1.2.840.113549.1.7.2"), tlv(0xa0, &[vec![0x80; 3]])]);
    assert!(of(&bundle).1.ends_with("a bundle of PKCS#7"));
    let data = seq(&[oid("1.2.840.113549.1.7.1"), tlv(0x04, &[vec![0x80; 3]])]);
    assert!(of(&seq(&[tlv(0x02, &[vec![3]]), data])).1.contains("a store of PKCS#12"));
}

#[test]
fn bytes_after_the_certificate_are_named() {
    let mut der = Recipe::qwac().der();
    der.extend([0, 0, 0]);
    assert_eq!(of_file(&der), ["bytes-after-certificate"]);
}

#[test]
fn rfc_5280_4_1_2_5_the_time_has_to_fit() {
    let pem = Recipe::qwac().pem();
    let at = |second| rules(&check(pem.as_bytes(), None, second));
    let first = 1_767_225_600; // 1 January 2026
    let last = 1_798_675_200; // 31 December 2026
    assert_eq!(at(first), Vec::<&str>::new());
    assert_eq!(at(first - 1), ["not-yet-valid"]);
    assert_eq!(at(last - 30 * 86_400), Vec::<&str>::new());
    assert_eq!(at(last), ["expires-soon"]);
    assert_eq!(at(last + 1), ["expired"]);
    let reversed = Recipe { from: (2026, 8, 1), to: (2026, 5, 1), ..Recipe::qwac() };
    assert_eq!(reversed.rules(), ["validity-reversed"]);
}

#[test]
fn the_time_may_not_be_too_long() {
    let just = Recipe { from: (2026, 1, 1), to: (2027, 2, 3), ..Recipe::qwac() };
    assert_eq!(just.rules(), Vec::<&str>::new());
    let long = Recipe { to: (2027, 2, 4), ..just };
    assert_eq!(long.rules(), ["validity-long"]);
    let seal = Recipe { from: (2025, 1, 1), to: (2028, 1, 1), ..Recipe::good(Kind::QSeal) };
    assert_eq!(seal.rules(), Vec::<&str>::new());
    assert_eq!(Recipe { to: (2029, 1, 1), ..seal }.rules(), ["validity-long"]);
}

/// A good leaf with another key or another algorithm.
fn with_parts(parts: &[(usize, Vec<u8>)], outer: Option<Vec<u8>>) -> Vec<&'static str> {
    let der = reforged(&Recipe::qwac().der(), &INTERMEDIATE, parts, outer);
    of_file((pem(&der) + &pem(&INTERMEDIATE.der)).as_bytes())
}

const SIGNATURE: usize = 2;
const KEY: usize = 6;

#[test]
fn etsi_ts_119_312_signatures_have_to_be_strong() {
    let sha1 = seq(&[oid("1.2.840.10045.4.1")]);
    assert_eq!(with_parts(&[(SIGNATURE, sha1.clone())], Some(sha1)), ["signature-hash-weak"]);
    let pss_of_sha1 = seq(&[oid("1.2.840.113549.1.1.10"), seq(&[])]);
    assert_eq!(with_parts(&[(SIGNATURE, pss_of_sha1.clone())], Some(pss_of_sha1)), ["signature-hash-weak"]);
    let other = seq(&[oid("1.2.840.10045.4.3.3")]);
    assert_eq!(with_parts(&[(SIGNATURE, other)], None), ["signature-algorithms-differ"]);
}

fn rsa_key(bits: usize) -> Vec<u8> {
    let modulus = [vec![0], vec![0xc5; bits / 8]].concat();
    let key = seq(&[tlv(0x02, &[modulus]), tlv(0x02, &[vec![1, 0, 1]])]);
    let algorithm = seq(&[oid("1.2.840.113549.1.1.1"), tlv(0x05, &[])]);
    seq(&[algorithm, tlv(0x03, &[vec![0], key])])
}

fn ec_key(curve: &str) -> Vec<u8> {
    let algorithm = seq(&[oid("1.2.840.10045.2.1"), oid(curve)]);
    seq(&[algorithm, tlv(0x03, &[vec![0, 4], vec![7; 64]])])
}

#[test]
fn etsi_ts_119_312_keys_have_to_be_long_enough() {
    assert_eq!(with_parts(&[(KEY, rsa_key(1024))], None), ["rsa-key-short"]);
    assert_eq!(with_parts(&[(KEY, rsa_key(2048))], None), Vec::<&str>::new());
    assert_eq!(with_parts(&[(KEY, ec_key("1.2.840.10045.3.1.1"))], None), ["ec-curve-unsuited"]);
    assert_eq!(with_parts(&[(KEY, ec_key("1.3.132.0.10"))], None), ["ec-curve-unsuited"]);
    assert_eq!(with_parts(&[(KEY, ec_key("1.3.36.3.3.2.8.1.1.7"))], None), ["ec-curve-rare"]);
    assert_eq!(with_parts(&[(KEY, ec_key("1.3.132.0.34"))], None), Vec::<&str>::new());
    let dsa = seq(&[seq(&[oid("1.2.840.10040.4.1")]), tlv(0x03, &[vec![0, 1]])]);
    assert_eq!(with_parts(&[(KEY, dsa)], None), ["key-algorithm-unsuited"]);
}

#[test]
fn a_leaf_may_not_be_an_authority() {
    let recipe = Recipe { is_ca: IsCa::Ca(BasicConstraints::Unconstrained), ..Recipe::qwac() };
    assert_eq!(of_file(pem(&recipe.der()).as_bytes()), ["authority-as-leaf", "chain-absent"]);
}

fn usage(kind: Kind, bits: u8) -> Vec<&'static str> {
    Recipe::good(kind).set_extension(KEY_USAGE, Some((true, key_usage(bits)))).rules()
}

#[test]
fn the_key_usage_has_to_fit_the_kind() {
    let none = Vec::<&str>::new();
    assert_eq!(Recipe::qwac().set_extension(KEY_USAGE, None).rules(), ["key-usage-missing"]);
    let lax = Recipe::qwac().set_extension(KEY_USAGE, Some((false, key_usage(0x80))));
    assert_eq!(lax.rules(), ["key-usage-not-critical"]);
    assert_eq!(usage(Kind::Qwac, 0x20), ["key-usage-unfit"], "keyEncipherment alone");
    assert_eq!(usage(Kind::Qwac, 0x84), ["key-usage-unfit"], "with keyCertSign");
    assert_eq!(usage(Kind::Qwac, 0xa0), none, "with keyEncipherment");
    assert_eq!(usage(Kind::Qwac, 0xc0), ["key-usage-mixed"], "with nonRepudiation");
    assert_eq!(usage(Kind::QSeal, 0x40), none);
    assert_eq!(usage(Kind::QSeal, 0x80), none);
    assert_eq!(usage(Kind::QSeal, 0x20), ["key-usage-unfit"]);
    assert_eq!(usage(Kind::QSeal, 0xe0), ["key-usage-mixed"]);
}

#[test]
fn the_extended_key_usage_has_to_fit_the_kind() {
    let with =
        |usages: &[&str]| Recipe::qwac().set_extension(EXTENDED, Some((false, extended(usages)))).rules();
    assert_eq!(Recipe::qwac().set_extension(EXTENDED, None).rules(), ["extended-key-usage-missing"]);
    assert_eq!(with(&[SERVER_AUTH]), ["client-auth-missing"]);
    assert_eq!(with(&[CLIENT_AUTH]), ["server-auth-missing"]);
    let seal = Recipe::good(Kind::QSeal).set_extension(EXTENDED, Some((false, extended(&[CLIENT_AUTH]))));
    assert_eq!(seal.rules(), ["extended-key-usage-of-web"]);
}

#[test]
fn a_qwac_names_its_hosts() {
    assert_eq!(Recipe { hosts: Vec::new(), ..Recipe::qwac() }.rules(), ["subject-alt-name-missing"]);
    let obwac = Recipe { hosts: Vec::new(), ..Recipe::good(Kind::Obwac) };
    assert_eq!(obwac.rules(), Vec::<&str>::new(), "the directory issues none to third party providers");
    let other = Recipe { hosts: vec!["other.example"], ..Recipe::qwac() };
    assert_eq!(other.meant("common-name-not-among-names"), "DNS:fintech.example in the subjectAltName");
}

#[test]
fn a_certificate_says_where_its_status_is() {
    let without_ocsp =
        Recipe::qwac().set_extension(AUTHORITY_INFO, Some((false, authority_info(CA_ISSUERS))));
    assert_eq!(without_ocsp.rules(), ["revocation-missing"]);
    let point = seq(&[tlv(0xa0, &[tlv(0xa0, &[tlv(0x86, &[b"http://qtsp.example/crl".to_vec()])])])]);
    let list = Recipe::qwac()
        .set_extension(AUTHORITY_INFO, None)
        .set_extension("2.5.29.31", Some((false, seq(&[point]))));
    assert_eq!(list.rules(), ["authority-information-missing"]);
    let anonymous = Recipe { names_issuer_key: false, ..Recipe::qwac() };
    assert_eq!(anonymous.rules(), ["authority-key-id-missing"]);
}

#[test]
fn etsi_ts_119_495_the_policy_has_to_fit_the_type() {
    let with =
        |kind, ids: &[&str]| Recipe::good(kind).set_extension(POLICIES, Some((false, policies(ids)))).rules();
    assert_eq!(Recipe::qwac().set_extension(POLICIES, None).rules(), ["policy-missing"]);
    assert_eq!(with(Kind::Qwac, &["1.2.3"]), ["policy-missing"]);
    assert_eq!(with(Kind::Qwac, &["0.4.0.194112.1.4"]), Vec::<&str>::new());
    assert_eq!(with(Kind::Qwac, &["0.4.0.194112.1.1"]), ["policy-unfit"]);
    assert_eq!(with(Kind::QSeal, &["0.4.0.19495.3.1"]), ["policy-unfit"]);
    assert_eq!(with(Kind::QSeal, &["0.4.0.194112.1.3"]), ["qscd-not-stated"]);
}

#[test]
fn severities_tell_what_is_refused_from_what_is_unusual() {
    let of = |recipe: Recipe| recipe.judge().findings[0].severity;
    assert_eq!(of(Recipe::qwac().set_extension(EXTENDED, None)), Severity::Error);
    assert_eq!(of(Recipe::qwac().set_extension(POLICIES, None)), Severity::Warning);
}

/// Files come from anybody. Each is judged and none ends the program.
#[test]
fn a_certificate_with_any_octet_changed_is_judged() {
    let recipe = Recipe::qwac();
    let good = recipe.der();
    for place in 0..good.len() {
        for change in [0x01, 0x20, 0x80, 0xff] {
            let mut spoilt = good.clone();
            spoilt[place] ^= change;
            let judged = check(&spoilt, None, NOW);
            assert!(judged.kind.is_some() || !judged.findings.is_empty());
        }
        assert!(!check(&good[..place], None, NOW).findings.is_empty());
    }
}
