//! Writes what an authority makes, as seeds: `cargo run --example certificates FOLDER`.

use std::path::Path;

use crypto::pki::{Authority, Issued, Psd2Subject};
use crypto::{Certificate, Psd2Role};
use fuzz::now;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(Path::new(&folder).join(name), bytes).expect("a file");
    };
    let authority = Authority::new("Seeds", now()).expect("an authority");
    let subject = Psd2Subject {
        common_name: "tpp.example".into(),
        organization: "Example TPP".into(),
        country: "DE".into(),
        organization_identifier: "PSDDE-BAFIN-100001".into(),
        roles: vec![Psd2Role::PaymentInitiation, Psd2Role::AccountInformation],
        nca_name: "Federal Authority".into(),
        nca_id: "DE-BAFIN".into(),
        san_dns: vec!["tpp.example".into()],
        san_uri: vec!["https://tpp.example/".into()],
    };
    let responder = "http://ocsp.example/";
    let issued: [(&str, Issued); 5] = [
        ("qwac", authority.issue_qwac(&subject).expect("a QWAC")),
        ("qseal", authority.issue_qseal(&subject, true).expect("a QSealC")),
        ("client", authority.issue_client_asked_at("Client", responder).expect("a certificate")),
        ("transport", authority.issue_transport("0015800001041RHAAY", "software").expect("a certificate")),
        ("server", authority.issue_server(&["a.example"], &["192.0.2.1".parse().expect("IP")]).expect("one")),
    ];
    for (name, issued) in &issued {
        write(name, &Certificate::from_pem(&issued.certificate_pem).expect("a certificate").der);
    }
    write("pem", issued[2].1.certificate_pem.as_bytes());
    let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).expect("PEM");
    write("root", &root);
    let list = authority.revocation_list(&[&issued[0].1, &issued[1].1], 7).expect("a list");
    write("list", &CertificateRevocationListDer::from_pem_slice(list.as_bytes()).expect("PEM"));
    // What an OCSP answer says of a certificate: its state, from when, until when.
    let from = b"\x18\x0f20251231000000Z";
    let until = b"\xa0\x11\x18\x0f20260102000000Z";
    write("ocsp_good", &[b"\x80\0".as_slice(), from, until].concat());
    write("ocsp_good_without_end", &[b"\x80\0".as_slice(), from].concat());
    write("ocsp_unknown", &[b"\x82\0".as_slice(), from, until].concat());
    write(
        "ocsp_revoked",
        &[b"\xa1\x16\x18\x0f20251230000000Z\xa0\x03\x0a\x01\x01".as_slice(), from, until].concat(),
    );
}
