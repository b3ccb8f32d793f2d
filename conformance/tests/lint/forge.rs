//! Certificates made for a test: a good one of each kind, to be spoilt in one place.

use std::sync::LazyLock;

use base64::Engine as _;
use consentry_conformance::lint::certificate::{Judged, Kind, check};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SigningKey, date_time_ymd,
};

use crate::der::{arcs, children, content, ia5, oid, seq, tlv, utf8};

/// 1 June 2026.
pub const NOW: i64 = 1_780_272_000;
pub const QC_STATEMENTS: &str = "1.3.6.1.5.5.7.1.3";
pub const PSD2: &str = "0.4.0.19495.2";
pub const ORG_ID: &str = "2.5.4.97";

pub struct Authority {
    pub issuer: Issuer<'static, KeyPair>,
    pub der: Vec<u8>,
}

pub static ROOT: LazyLock<Authority> = LazyLock::new(|| authority("Test Root", None, (2020, 2040)));
pub static INTERMEDIATE: LazyLock<Authority> =
    LazyLock::new(|| authority("Test QTSP", Some(&ROOT), (2024, 2034)));
pub static DIRECTORY: LazyLock<Authority> =
    LazyLock::new(|| authority("OpenBanking Issuing CA", Some(&ROOT), (2024, 2034)));

pub fn authority(name: &str, by: Option<&Authority>, years: (i32, i32)) -> Authority {
    authority_with(name, by, years, KeyPair::generate().unwrap())
}

pub fn authority_with(name: &str, by: Option<&Authority>, years: (i32, i32), key: KeyPair) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "DE");
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params.use_authority_key_identifier_extension = by.is_some();
    let der = match by {
        Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Authority { der: der.der().to_vec(), issuer: Issuer::new(params, key) }
}

/// What goes into a leaf.
pub struct Recipe {
    pub kind: Kind,
    pub subject: Vec<(&'static str, String)>,
    pub hosts: Vec<&'static str>,
    /// The statements' extension: its identifier, whether critical, its value.
    pub statements: Option<(&'static str, bool, Vec<u8>)>,
    /// Any other extension: identifier, critical, value.
    pub extensions: Vec<(&'static str, bool, Vec<u8>)>,
    pub from: (i32, u8, u8),
    pub to: (i32, u8, u8),
    pub is_ca: IsCa,
    pub names_issuer_key: bool,
    pub by: &'static LazyLock<Authority>,
}

pub fn statement(name: &str, info: Option<Vec<u8>>) -> Vec<u8> {
    let mut parts = vec![oid(name)];
    parts.extend(info);
    seq(&parts)
}

pub fn role(id: &str, name: &str) -> Vec<u8> {
    seq(&[oid(id), utf8(name)])
}

pub fn good_roles() -> Vec<u8> {
    seq(&[role("0.4.0.19495.1.2", "PSP_PI"), role("0.4.0.19495.1.3", "PSP_AI")])
}

pub fn psd2_info(roles: Vec<u8>, name: &str, id: &str) -> Vec<u8> {
    seq(&[roles, utf8(name), utf8(id)])
}

pub fn good_info() -> Vec<u8> {
    psd2_info(good_roles(), "Federal Financial Supervisory Authority", "DE-BAFIN")
}

pub fn compliance() -> Vec<u8> {
    statement("0.4.0.1862.1.1", None)
}

pub fn pds(address: &str) -> Vec<u8> {
    statement("0.4.0.1862.1.5", Some(seq(&[seq(&[ia5(address), crate::der::printable("en")])])))
}

pub fn qc_type(suffixes: &[u8]) -> Vec<u8> {
    let types: Vec<_> = suffixes.iter().map(|one| oid(&format!("0.4.0.1862.1.6.{one}"))).collect();
    statement("0.4.0.1862.1.6", Some(seq(&types)))
}

/// The usual statements around a PSD2 statement.
pub fn statements_with(kind: Kind, psd2: Vec<u8>) -> Vec<u8> {
    let own = if kind.is_for_web() { 3 } else { 2 };
    if kind.is_uk() {
        return seq(&[qc_type(&[own]), psd2]);
    }
    seq(&[compliance(), pds("https://qtsp.example/pds"), qc_type(&[own]), psd2])
}

pub fn key_usage(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros()).unwrap();
    tlv(0x03, &[vec![unused, bits]])
}

pub fn extended(usages: &[&str]) -> Vec<u8> {
    seq(&usages.iter().map(|usage| oid(usage)).collect::<Vec<_>>())
}

pub fn policies(ids: &[&str]) -> Vec<u8> {
    seq(&ids.iter().map(|id| seq(&[oid(id)])).collect::<Vec<_>>())
}

pub fn authority_info(method: &str) -> Vec<u8> {
    seq(&[seq(&[oid(method), tlv(0x86, &[b"http://qtsp.example/a".to_vec()])])])
}

pub const KEY_USAGE: &str = "2.5.29.15";
pub const EXTENDED: &str = "2.5.29.37";
pub const POLICIES: &str = "2.5.29.32";
pub const AUTHORITY_INFO: &str = "1.3.6.1.5.5.7.1.1";
pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub const OCSP: &str = "1.3.6.1.5.5.7.48.1";
pub const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

impl Recipe {
    pub fn good(kind: Kind) -> Self {
        let mut extensions = vec![
            (KEY_USAGE, true, key_usage(if kind.is_for_web() { 0x80 } else { 0xc0 })),
            (AUTHORITY_INFO, false, authority_info(OCSP)),
        ];
        if kind.is_for_web() {
            extensions.push((EXTENDED, false, extended(&[SERVER_AUTH, CLIENT_AUTH])));
        }
        if !kind.is_uk() {
            let policy = if kind.is_for_web() { "0.4.0.19495.3.1" } else { "0.4.0.194112.1.1" };
            extensions.push((POLICIES, false, policies(&[policy])));
        }
        let (country, id, common) = match (kind.is_uk(), kind.is_for_web()) {
            (false, true) => ("DE", "PSDDE-BAFIN-100001", "fintech.example"),
            (false, false) => ("DE", "PSDDE-BAFIN-100001", "Fintech seal"),
            (true, _) => ("GB", "PSDGB-FCA-765112", "0015800001041RHAAY"),
        };
        let info = if kind.is_uk() {
            psd2_info(good_roles(), "Financial Conduct Authority", "GB-FCA")
        } else {
            good_info()
        };
        Self {
            kind,
            subject: vec![
                ("2.5.4.6", country.into()),
                ("2.5.4.10", "Fintech A GmbH".into()),
                (ORG_ID, id.into()),
                ("2.5.4.3", common.into()),
            ],
            hosts: if kind.is_for_web() { vec!["fintech.example"] } else { Vec::new() },
            statements: Some((QC_STATEMENTS, false, statements_with(kind, statement(PSD2, Some(info))))),
            extensions,
            from: (2026, 1, 1),
            to: (2026, 12, 31),
            is_ca: IsCa::ExplicitNoCa,
            names_issuer_key: true,
            by: if kind.is_uk() { &DIRECTORY } else { &INTERMEDIATE },
        }
    }

    pub fn qwac() -> Self {
        Self::good(Kind::Qwac)
    }

    /// With other contents of the PSD2 statement.
    pub fn with_info(info: Vec<u8>) -> Self {
        Self::with_psd2(statement(PSD2, Some(info)))
    }

    /// With another PSD2 statement.
    pub fn with_psd2(psd2: Vec<u8>) -> Self {
        Self::with_statements(statements_with(Kind::Qwac, psd2))
    }

    /// With other statements.
    pub fn with_statements(value: Vec<u8>) -> Self {
        Self { statements: Some((QC_STATEMENTS, false, value)), ..Self::qwac() }
    }

    pub fn set_subject(mut self, attribute: &'static str, value: Option<&str>) -> Self {
        self.subject.retain(|(one, _)| *one != attribute);
        self.subject.extend(value.map(|value| (attribute, value.to_owned())));
        self
    }

    pub fn set_extension(mut self, name: &'static str, value: Option<(bool, Vec<u8>)>) -> Self {
        self.extensions.retain(|(one, ..)| *one != name);
        self.extensions.extend(value.map(|(critical, value)| (name, critical, value)));
        self
    }

    pub fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (name, value) in &self.subject {
            let value = if *name == "2.5.4.6" {
                DnValue::PrintableString(value.as_str().try_into().unwrap())
            } else {
                DnValue::Utf8String(value.clone())
            };
            params.distinguished_name.push(DnType::from_oid(&arcs(name)), value);
        }
        params.subject_alt_names =
            self.hosts.iter().map(|host| SanType::DnsName((*host).try_into().unwrap())).collect();
        for (name, critical, value) in self.extensions.iter().chain(&self.statements) {
            let mut extension = CustomExtension::from_oid_content(&arcs(name), value.clone());
            extension.set_criticality(*critical);
            params.custom_extensions.push(extension);
        }
        params.not_before = date_time_ymd(self.from.0, self.from.1, self.from.2);
        params.not_after = date_time_ymd(self.to.0, self.to.1, self.to.2);
        params.is_ca = self.is_ca;
        params.use_authority_key_identifier_extension = self.names_issuer_key;
        params
    }

    pub fn der(&self) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        self.params().signed_by(&key, &self.by.issuer).unwrap().der().to_vec()
    }

    /// The leaf and its issuer.
    pub fn pem(&self) -> String {
        pem(&self.der()) + &pem(&self.by.der)
    }

    pub fn judge(&self) -> Judged {
        check(self.pem().as_bytes(), Some(self.kind), NOW)
    }

    /// The rules it breaks.
    pub fn rules(&self) -> Vec<&'static str> {
        rules(&self.judge())
    }

    /// What the only finding says was meant.
    pub fn meant(&self, rule: &str) -> String {
        let judged = self.judge();
        assert_eq!(rules(&judged), [rule]);
        judged.findings[0].meant.clone().unwrap()
    }
}

pub fn rules(judged: &Judged) -> Vec<&'static str> {
    judged.findings.iter().map(|finding| finding.rule).collect()
}

pub fn pem(der: &[u8]) -> String {
    labelled("CERTIFICATE", der)
}

pub fn labelled(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The same certificate with some parts of what is signed replaced, and signed again.
pub fn reforged(der: &[u8], by: &Authority, parts: &[(usize, Vec<u8>)], outer: Option<Vec<u8>>) -> Vec<u8> {
    let whole = children(content(der));
    let mut signed = children(content(&whole[0]));
    for (place, value) in parts {
        signed[*place] = value.clone();
    }
    let signed = seq(&signed);
    let signature = by.issuer.key().sign(&signed).unwrap();
    seq(&[signed, outer.unwrap_or_else(|| whole[1].clone()), tlv(0x03, &[vec![0], signature])])
}
