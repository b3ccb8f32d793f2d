//! Whom a certificate is of.

use consentry_conformance::lint::Severity;
use consentry_conformance::lint::certificate::{Kind, check};

use crate::forge::{
    INTERMEDIATE, NOW, ORG_ID, PSD2, QC_STATEMENTS, Recipe, good_roles, psd2_info, rules, statement,
    statements_with,
};

#[test]
fn an_organisation_has_a_name_and_a_country() {
    assert_eq!(Recipe::qwac().set_subject("2.5.4.10", None).rules(), ["organisation-name-missing"]);
    assert_eq!(Recipe::qwac().set_subject("2.5.4.6", None).rules(), ["country-missing"]);
    assert_eq!(
        Recipe::qwac().set_subject("2.5.4.6", Some("de")).rules(),
        ["country-form", "country-differs"]
    );
    assert_eq!(Recipe::qwac().set_subject("2.5.4.6", Some("AT")).rules(), ["country-differs"]);
}

#[test]
fn an_organisation_has_an_identifier() {
    assert_eq!(Recipe::qwac().set_subject(ORG_ID, None).rules(), ["organisation-identifier-missing"]);
    let elsewhere =
        Recipe::qwac().set_subject(ORG_ID, None).set_subject("2.5.4.5", Some("PSDDE-BAFIN-100001"));
    assert_eq!(elsewhere.rules(), ["organisation-identifier-misplaced"]);
    let value_added_tax = Recipe::qwac().set_subject(ORG_ID, Some("VATDE-123456789"));
    assert_eq!(value_added_tax.rules(), ["organisation-identifier-other"]);
}

#[test]
fn etsi_en_319_412_1_an_identifier_that_is_nearly_right_is_explained() {
    for (written, meant) in [
        ("PSD-DE-BAFIN-100001", "PSDDE-BAFIN-100001"),
        ("PSDDEBAFIN-100001", "PSDDE-BAFIN-100001"),
        ("PSDDE-BAFIN100001", "PSDDE-BAFIN-100001"),
        ("psdde-bafin-100001", "PSDDE-BAFIN-100001"),
        ("PSDDE_BAFIN_100001", "PSDDE-BAFIN-100001"),
        ("DE-BAFIN-100001", "PSDDE-BAFIN-100001"),
        ("PSDDE BAFIN 100001", "PSDDE-BAFIN-100001"),
        ("psdxy-newone-7", "PSDXY-NEWONE-7"),
        (
            "100001",
            "PSD, the country, a hyphen, the authority, a hyphen and the number, such as PSDDE-BAFIN-100001",
        ),
    ] {
        let recipe = Recipe::qwac().set_subject(ORG_ID, Some(written));
        assert_eq!(recipe.meant("organisation-identifier-form"), meant, "{written}");
    }
}

#[test]
fn two_identifiers_are_one_too_many() {
    // rcgen keeps an attribute once, so the second is written into a set of its own.
    let der = Recipe::qwac().der();
    let twice = crate::forge::reforged(
        &der,
        &INTERMEDIATE,
        &[(5, crate::der::seq(&[attribute("2.5.4.6", "DE"), attribute("2.5.4.10", "A"), own(), own()]))],
        None,
    );
    let file = crate::forge::pem(&twice) + &crate::forge::pem(&INTERMEDIATE.der);
    assert_eq!(rules(&check(file.as_bytes(), None, NOW)), ["organisation-identifier-repeated"]);
}

fn own() -> Vec<u8> {
    attribute(ORG_ID, "PSDDE-BAFIN-100001")
}

fn attribute(name: &str, value: &str) -> Vec<u8> {
    crate::der::set(&[crate::der::seq(&[crate::der::oid(name), crate::der::utf8(value)])])
}

#[test]
fn identifier_and_statement_name_the_same_authority() {
    let other = Recipe::qwac().set_subject(ORG_ID, Some("PSDDE-OTHER-100001"));
    assert_eq!(other.rules(), ["authority-differs"]);
    assert_eq!(other.judge().findings[0].severity, Severity::Error);
}

/// The directory writes its own name into statements of providers of any authority.
#[test]
fn the_directory_may_stand_for_an_authority_of_the_united_kingdom() {
    let mut obwac = Recipe::good(Kind::Obwac);
    let info = psd2_info(good_roles(), "Open Banking", "GB-OB");
    let psd2 = statement(PSD2, Some(info));
    obwac.statements = Some((QC_STATEMENTS, false, statements_with(Kind::Obwac, psd2)));
    let judged = obwac.judge();
    assert_eq!(rules(&judged), ["authority-differs"]);
    assert_eq!(judged.findings[0].severity, Severity::Warning);
    let whole = obwac.set_subject(ORG_ID, Some("PSDGB-OB-Unknown0015800001041RHAAY"));
    assert_eq!(whole.rules(), Vec::<&str>::new());
}

#[test]
fn an_authorisation_number_may_have_any_characters() {
    let recipe = Recipe::qwac().set_subject(ORG_ID, Some("PSDDE-BAFIN-10 00/01-ä"));
    assert_eq!(recipe.rules(), Vec::<&str>::new());
    assert_eq!(
        Recipe::qwac().set_subject(ORG_ID, Some("PSDDE-BAFIN-")).rules(),
        ["organisation-identifier-form"]
    );
}

#[test]
fn the_directory_of_the_united_kingdom_knows_organisations_by_their_ids() {
    let obwac = Recipe::good(Kind::Obwac).set_subject("2.5.4.3", Some("Fintech"));
    assert_eq!(obwac.rules(), ["directory-id-form"]);
    let mut older = Recipe::good(Kind::Obwac)
        .set_subject(ORG_ID, None)
        .set_subject("2.5.4.11", Some("0015800001041RHAAY"))
        .set_subject("2.5.4.3", Some("5Kdf0EO6Wk1hkX2lDHm9Ya"));
    older.statements = None;
    assert_eq!(older.rules(), ["directory-older-profile"]);
}
