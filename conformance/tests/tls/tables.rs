//! What is known of suites and groups.

use consentry_conformance::tls::suites::{BEFORE_13, OF_13, RECOMMENDED, Standing, name, standing};
use consentry_conformance::tls::{Greeting, Place, groups, servers};

/// RFC 9325 §4.2: four suites are recommended; four more have forward secrecy and AEAD.
#[test]
fn eight_suites_of_the_registry_may_be_taken() {
    let may = |want: fn(Standing) -> bool| BEFORE_13.iter().filter(|(code, _)| want(standing(*code))).count();
    assert_eq!(may(|standing| standing == Standing::Recommended), RECOMMENDED.len());
    assert_eq!(may(|standing| matches!(standing, Standing::Allowed(_))), 4);
}

#[test]
fn the_worst_of_a_suite_is_named() {
    for (code, fault) in [
        (0x0001, "does not encrypt"),
        (0x0003, "for export"),
        (0x0005, "RC4"),
        (0x0009, "56 bits"),
        (0x000a, "3DES"),
        (0x0034, "nobody proves"),
        (0x002f, "CBC"),
        (0x009c, "static RSA"),
        (0x00a0, "static DH"),
        (0xc02d, "static ECDH"),
        (0x00a8, "a shared key"),
        (0xc0ae, "tag is short"),
        (0xfafa, "does not recommend"),
    ] {
        let Standing::Wrong(told) = standing(code) else { panic!("{} may be taken", name(code)) };
        assert!(told.contains(fault), "{}: {told}", name(code));
    }
}

#[test]
fn no_suite_and_no_group_is_listed_twice() {
    let mut codes: Vec<u16> = BEFORE_13.iter().chain(&OF_13).map(|(code, _)| *code).collect();
    let mut groups: Vec<u16> = groups::ALL.iter().map(|group| group.code).collect();
    for list in [&mut codes, &mut groups] {
        let before = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), before);
    }
}

/// RFC 7685: padding makes a greeting exactly as long as is asked for.
#[test]
fn a_greeting_is_padded_to_the_byte() {
    let place = Place { host: servers::HOST.into(), address: ([127, 0, 0, 1], 1).into() };
    for size in [1 << 12, 1 << 14] {
        let greeting = Greeting { padded_to: size, ..Greeting::modern(&place) };
        assert_eq!(greeting.message().len(), size);
    }
}

/// RFC 6066 §3: literal addresses are not permitted as host names.
#[test]
fn an_address_is_no_server_name() {
    let place = |host: &str| Place { host: host.into(), address: ([127, 0, 0, 1], 1).into() };
    assert_eq!(place("127.0.0.1").server_name(), None);
    assert_eq!(place("::1").server_name(), None);
    assert_eq!(place("tls.test").server_name().as_deref(), Some("tls.test"));
}
