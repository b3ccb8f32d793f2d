//! The statements of a qualified certificate, and what is nearly one.

use consentry_conformance::lint::certificate::Kind;

use crate::der::{octets, oid, printable, seq, set, tlv, utf8};
use crate::forge::{
    PSD2, QC_STATEMENTS, Recipe, compliance, good_info, good_roles, pds, psd2_info, qc_type, role, statement,
    statements_with,
};

const NAME: &str = "Federal Financial Supervisory Authority";

fn good() -> Vec<u8> {
    statements_with(Kind::Qwac, statement(PSD2, Some(good_info())))
}

fn roles(roles: Vec<u8>) -> Recipe {
    Recipe::with_info(psd2_info(roles, NAME, "DE-BAFIN"))
}

fn named(name: &str, id: &str) -> Recipe {
    Recipe::with_info(psd2_info(good_roles(), name, id))
}

#[test]
fn a_certificate_without_statements_is_not_qualified() {
    assert_eq!(Recipe { statements: None, ..Recipe::qwac() }.rules(), ["qc-statements-missing"]);
}

#[test]
fn rfc_3739_statements_are_in_their_extension_and_not_critical() {
    let critical = Recipe { statements: Some((QC_STATEMENTS, true, good())), ..Recipe::qwac() };
    assert_eq!(critical.rules(), ["qc-statements-critical"]);
    let elsewhere = Recipe { statements: Some(("1.3.6.1.5.5.7.11.2", false, good())), ..Recipe::qwac() };
    assert_eq!(
        elsewhere.meant("qc-statements-misplaced"),
        "the same value in the extension 1.3.6.1.5.5.7.1.3 (qcStatements)"
    );
    let own = Recipe { statements: Some((PSD2, false, good_info())), ..Recipe::qwac() };
    assert!(own.meant("qc-statements-misplaced").contains("in it the statement 0.4.0.19495.2"));
}

#[test]
fn statements_wrapped_once_too_often_are_read_all_the_same() {
    for value in [octets(good()), seq(&[good()]), seq(&[octets(good())])] {
        assert_eq!(Recipe::with_statements(value).rules(), ["qc-statements-wrapped"]);
    }
    let wrapped = Recipe::with_psd2(statement(PSD2, Some(octets(good_info()))));
    assert_eq!(wrapped.rules(), ["qc-statement-wrapped"]);
}

#[test]
fn statements_are_a_list_of_sequences() {
    let psd2 = statement(PSD2, Some(good_info()));
    let parts = [compliance(), pds("https://q.example"), qc_type(&[3]), psd2];
    assert_eq!(Recipe::with_statements(set(&parts)).rules(), ["qc-statements-malformed"]);
    assert_eq!(Recipe::with_statements(b"nonsense".to_vec()).rules(), ["qc-statements-malformed"]);
    assert_eq!(Recipe::with_statements(seq(&[])).rules(), ["qc-statements-malformed"]);
    let flat: Vec<_> = parts.iter().flat_map(|one| crate::der::children(crate::der::content(one))).collect();
    assert_eq!(Recipe::with_statements(seq(&flat)).rules(), ["qc-statements-flattened"]);
    let unnamed = [parts.to_vec(), vec![seq(&[utf8("x")])]].concat();
    assert_eq!(Recipe::with_statements(seq(&unnamed)).rules(), ["qc-statement-unnamed"]);
    let in_set = set(&[oid(PSD2), good_info()]);
    assert_eq!(Recipe::with_psd2(in_set).rules(), ["qc-statement-form"]);
    let spread = seq(&[oid(PSD2), good_roles(), utf8(NAME), utf8("DE-BAFIN")]);
    assert_eq!(Recipe::with_psd2(spread).rules()[0], "qc-statement-form");
}

#[test]
fn each_statement_is_made_once() {
    let psd2 = statement(PSD2, Some(good_info()));
    let twice = seq(&[compliance(), compliance(), pds("https://q.example"), qc_type(&[3]), psd2]);
    assert_eq!(Recipe::with_statements(twice).rules(), ["qc-statement-repeated"]);
}

#[test]
fn etsi_en_319_412_5_compliance_and_terms_are_stated() {
    let psd2 = || statement(PSD2, Some(good_info()));
    let without = seq(&[pds("https://q.example"), qc_type(&[3]), psd2()]);
    assert_eq!(Recipe::with_statements(without).rules(), ["qc-compliance-missing"]);
    let without = seq(&[compliance(), qc_type(&[3]), psd2()]);
    assert_eq!(Recipe::with_statements(without).rules(), ["qc-pds-missing"]);
    let plain = seq(&[compliance(), pds("http://q.example/pds"), qc_type(&[3]), psd2()]);
    assert_eq!(Recipe::with_statements(plain).meant("qc-pds-not-https"), "https://q.example/pds");
}

fn typed(types: &[Vec<u8>]) -> Recipe {
    let psd2 = statement(PSD2, Some(good_info()));
    let parts = [vec![compliance(), pds("https://q.example")], types.to_vec(), vec![psd2]].concat();
    Recipe::with_statements(seq(&parts))
}

#[test]
fn etsi_en_319_412_5_the_type_is_one_and_fits() {
    assert_eq!(typed(&[]).rules(), ["qc-type-missing"]);
    assert_eq!(typed(&[qc_type(&[2, 3])]).rules(), ["qc-type-both"]);
    assert_eq!(typed(&[qc_type(&[2])]).rules(), ["qc-type-unfit"]);
    assert_eq!(typed(&[qc_type(&[1])]).rules(), ["qc-type-unfit"]);
    assert_eq!(typed(&[qc_type(&[3, 9])]).rules(), ["qc-type-unknown"]);
    let direct = typed(&[statement("0.4.0.1862.1.6.3", None)]);
    assert_eq!(
        direct.meant("qc-type-as-statement"),
        "SEQUENCE { 0.4.0.1862.1.6, SEQUENCE { 0.4.0.1862.1.6.3 } }"
    );
}

#[test]
fn without_the_psd2_statement_there_is_no_role() {
    let without = seq(&[compliance(), pds("https://q.example"), qc_type(&[3])]);
    assert_eq!(Recipe::with_statements(without).rules(), ["psd2-statement-missing"]);
    assert_eq!(Recipe::with_psd2(statement(PSD2, None)).rules(), ["psd2-statement-empty"]);
}

#[test]
fn a_psd2_statement_of_another_name_is_recognised() {
    for name in ["0.4.0.19495.1", "0.4.0.19495.3", "0.4.0.19495.1.2", "0.4.0.1862.1.7", "1.2.3.4"] {
        let recipe = Recipe::with_psd2(statement(name, Some(good_info())));
        assert_eq!(
            recipe.meant("psd2-statement-misnamed"),
            "the same statement with the identifier 0.4.0.19495.2",
            "{name}"
        );
    }
}

#[test]
fn roles_are_a_sequence_of_sequences() {
    let (pi, ai) = (role("0.4.0.19495.1.2", "PSP_PI"), role("0.4.0.19495.1.3", "PSP_AI"));
    assert_eq!(roles(set(&[pi.clone(), ai.clone()])).rules(), ["roles-in-set"]);
    let each_in_set = seq(&[set(&[oid("0.4.0.19495.1.2"), utf8("PSP_PI")])]);
    assert_eq!(roles(each_in_set).rules(), ["roles-in-set"]);
    let flat = seq(&[oid("0.4.0.19495.1.2"), utf8("PSP_PI"), oid("0.4.0.19495.1.3"), utf8("PSP_AI")]);
    assert_eq!(roles(flat).rules(), ["roles-flattened"]);
    let no_list = seq(&[oid("0.4.0.19495.1.2"), utf8("PSP_PI"), utf8(NAME), utf8("DE-BAFIN")]);
    assert_eq!(Recipe::with_info(no_list).rules(), ["roles-flattened"]);
    let in_set = set(&[good_roles(), utf8(NAME), utf8("DE-BAFIN")]);
    assert_eq!(Recipe::with_info(in_set).rules(), ["psd2-statement-form"]);
    let lists = seq(&[good_roles(), seq(&[utf8(NAME), utf8("DE-BAFIN")])]);
    assert_eq!(Recipe::with_info(lists).rules(), ["psd2-statement-form"]);
    let more = seq(&[good_roles(), utf8(NAME), utf8("DE-BAFIN"), utf8("more")]);
    assert_eq!(Recipe::with_info(more).rules(), ["psd2-statement-form"]);
}

#[test]
fn etsi_ts_119_495_5_2_2_roles_are_known_and_named_right() {
    assert_eq!(roles(seq(&[])).rules(), ["roles-missing"]);
    let one = |oid: &str, name: &str| roles(seq(&[role(oid, name)]));
    for (written, right) in
        [("PSP_AIS", "PSP_AI"), ("psp_ai", "PSP_AI"), ("AISP", "PSP_AI"), ("PSP-AI", "PSP_AI")]
    {
        assert_eq!(one("0.4.0.19495.1.3", written).meant("role-name-spelling"), right, "{written}");
    }
    assert_eq!(one("0.4.0.19495.1.3", "").rules(), ["role-name-missing"]);
    assert_eq!(one("0.4.0.19495.1.3", "Reader").rules(), ["role-name-spelling"]);
    assert_eq!(
        one("0.4.0.19495.1.2", "PSP_AI").meant("role-name-differs"),
        "PSP_PI with 0.4.0.19495.1.2, or PSP_AI with 0.4.0.19495.1.3"
    );
    for wrong in ["0.4.0.19495.3", "0.4.0.19495.2.3", "0.4.0.1862.1.3", "0.4.0.19495.1.7"] {
        assert_eq!(
            one(wrong, "PSP_AI").meant("role-oid-unknown"),
            "0.4.0.19495.1.3, which is PSP_AI",
            "{wrong}"
        );
    }
    assert_eq!(one("0.4.0.19495.1.9", "PSP_XX").rules(), ["role-unknown"]);
    assert_eq!(one("0.4.0.19495.1.0", "Unspecified").rules(), ["role-not-of-psd2"]);
    assert_eq!(one("0.4.0.19495.1.52", "VOP_VS").rules(), ["role-not-of-psd2"]);
    assert_eq!(one("0.4.0.19495.1.0", "unspecified").meant("role-name-spelling"), "Unspecified");
    let nameless = roles(seq(&[seq(&[utf8("PSP_AI")])]));
    assert_eq!(nameless.meant("role-oid-missing"), "SEQUENCE { 0.4.0.19495.1.3, UTF8String PSP_AI }");
    let ai = role("0.4.0.19495.1.3", "PSP_AI");
    assert_eq!(roles(seq(&[ai.clone(), ai])).rules(), ["role-repeated"]);
}

#[test]
fn texts_are_utf8_strings() {
    let printed = seq(&[seq(&[oid("0.4.0.19495.1.3"), printable("PSP_AI")])]);
    assert_eq!(roles(printed).rules(), ["role-string-type"]);
    let info = seq(&[good_roles(), utf8(NAME), printable("DE-BAFIN")]);
    assert_eq!(Recipe::with_info(info).rules(), ["authority-string-type"]);
    let latin = tlv(0x14, &[b"Autorit\xe9".to_vec()]);
    assert_eq!(
        Recipe::with_info(seq(&[good_roles(), latin, utf8("DE-BAFIN")])).judge().findings[0].says,
        "\"Autorité\" is a TeletexString"
    );
}

#[test]
fn the_authority_has_a_name_and_an_identifier() {
    assert_eq!(named(" ", "DE-BAFIN").rules(), ["authority-name-empty"]);
    assert_eq!(
        named("DE-BAFIN", NAME).meant("authority-swapped"),
        format!("first {NAME:?} and then \"DE-BAFIN\"")
    );
    let with = |texts: &[Vec<u8>]| {
        let parts = [vec![good_roles()], texts.to_vec()].concat();
        Recipe::with_info(seq(&parts)).meant("authority-missing")
    };
    assert!(with(&[]).starts_with("the authority's name and then its identifier"));
    assert_eq!(with(&[utf8("DE-BAFIN")]), "the authority's name before its identifier");
    assert!(with(&[utf8(NAME)]).starts_with("the authority's identifier after its name"));
}

#[test]
fn an_identifier_of_an_authority_that_is_nearly_right_is_explained() {
    for written in
        ["de-bafin", "DE_BAFIN", "DEBAFIN", "DE BAFIN", "PSDDE-BAFIN", "DE-BAFIN-100001", "DE-BaFin"]
    {
        assert_eq!(named(NAME, written).meant("authority-id-form"), "DE-BAFIN", "{written}");
    }
    assert_eq!(named(NAME, "xy_newone").meant("authority-id-form"), "XY-NEWONE");
    let other = Recipe::with_info(psd2_info(good_roles(), NAME, "DE-BUBA"))
        .set_subject("2.5.4.97", Some("PSDDE-BUBA-1"));
    assert_eq!(other.meant("authority-not-listed"), "perhaps DE-BAFIN");
}

#[test]
fn an_international_public_authority_has_no_national_one() {
    let with = |oid: &str, name: &str| {
        Recipe::with_info(psd2_info(seq(&[role(oid, name)]), "NA", "NA"))
            .set_subject("2.5.4.97", Some("VATDE-1"))
            .rules()
    };
    assert_eq!(with("0.4.0.19495.1.6", "PSP_PA"), ["organisation-identifier-other", "role-not-of-psd2"]);
    assert_eq!(with("0.4.0.19495.1.3", "PSP_AI"), ["organisation-identifier-other", "authority-id-form"]);
}
