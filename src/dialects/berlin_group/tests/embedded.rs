use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect::{Challenge, EmbeddedSca, EmbeddedStep, ExplicitStart, PsuInput, ScaMethod, ScaMethodKind};

use super::*;

const PLACE: &str = "https://xs2a.bank.example/v1/consents/c-1/authorisations/a-1";

fn embedded() -> Profile {
    let mut profile = profile();
    profile.sca = vec![ScaFlow::Embedded];
    profile
}

fn at(step: EmbeddedStep) -> EmbeddedSca {
    EmbeddedSca { place: PLACE.parse().unwrap(), started: true, step }
}

fn lodged(profile: &Profile, links: Value) -> Option<ScaStart> {
    let body = json!({ "consentId": "c-1", "consentStatus": "received", "_links": links });
    let headers = [("aspsp-sca-approach", "EMBEDDED")];
    let lodged =
        ConsentLodging::lodged(&BerlinGroup, &context(profile), &answer(201, &headers, &body)).ok()?;
    Some(lodged.sca)
}

fn given(sca: &EmbeddedSca, body: &Value) -> Result<EmbeddedSca, BankError> {
    BerlinGroup.given(&context(&embedded()), sca, &answer(200, &[], body))
}

fn step(body: &Value) -> EmbeddedStep {
    given(&at(EmbeddedStep::Password), body).ok().unwrap().step
}

fn png() -> String {
    STANDARD.encode(b"\x89PNG\r\n\x1a\n and the rest")
}

/// XS2A 7.2: the link "updatePsuAuthentication" of an authorisation that the bank
/// began with the consent; the address is ours, whatever the link says.
#[test]
fn a_bank_may_begin_with_the_consent_and_say_what_it_wants_by_links() {
    let profile = embedded();
    let links = json!({
        "scaStatus": { "href": "/v1/consents/c-1/authorisations/a-1" },
        "updatePsuAuthentication": { "href": "https://evil.example/v1/consents/c-1/authorisations/a-1" },
    });
    let expected = ScaStart::Embedded(Box::new(at(EmbeddedStep::Password)));
    assert!(lodged(&profile, links.clone()) == Some(expected));
    for strange in ["/authorisations/..", "/authorisations/a%2F1", "/authorisations/", "/elsewhere/a-1"] {
        let links = json!({ "updatePsuAuthentication": { "href": strange } });
        assert!(lodged(&profile, links) == Some(ScaStart::Unsupported), "{strange}");
    }
    // A bank whose profile does not say so gets nothing of the PSU's from us.
    let redirect = super::profile();
    assert!(lodged(&redirect, links) == Some(ScaStart::Unsupported));
    let encrypted = json!({ "updateEncryptedPsuAuthentication": { "href": "/v1/x/authorisations/a-1" } });
    assert!(lodged(&profile, encrypted) == Some(ScaStart::Unsupported));
}

/// XS2A 5.1: "startAuthorisationWithPsuAuthentication", a POST of its own.
#[test]
fn a_bank_may_leave_the_beginning_to_the_first_step() {
    let profile = embedded();
    let cx = context(&profile);
    let links = json!({ "startAuthorisationWithPsuAuthentication": { "href": "/v1/whatever" } });
    let Some(ScaStart::Embedded(sca)) = lodged(&profile, links) else { panic!("embedded") };
    assert!(!sca.started && sca.step == EmbeddedStep::Password);
    assert!(BerlinGroup.progress(&cx, &sca).is_none());
    let request = BerlinGroup.give(&cx, &sca, &PsuInput::Password("s3cret".into())).unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str(), sent(&request)),
        (
            "POST",
            "https://xs2a.bank.example/v1/consents/c-1/authorisations",
            json!({ "psuData": { "password": "s3cret" } })
        )
    );
    let body = json!({
        "authorisationId": "a-1",
        "scaStatus": "scaMethodSelected",
        "_links": { "authoriseTransaction": { "href": "/v1/consents/c-1/authorisations/a-1" } },
    });
    let next = BerlinGroup.given(&cx, &sca, &answer(201, &[], &body)).ok().unwrap();
    assert!(next == at(EmbeddedStep::Answer(Box::default())));
    let nameless = json!({ "scaStatus": "scaMethodSelected", "_links": { "authoriseTransaction": "/x" } });
    let error = BerlinGroup.given(&cx, &sca, &answer(201, &[], &nameless)).err().unwrap();
    assert_eq!((error.kind, error.outcome), (BankErrorKind::MalformedResponse, Outcome::Unknown));
}

/// XS2A 7.1, `startScaprocessResponse`: after an explicit start.
#[test]
fn an_explicit_start_may_lead_into_the_embedded_approach() {
    let profile = embedded();
    let cx = CallContext { bank_consent_id: Some("p-1"), ..context(&profile) };
    let link = "https://xs2a.bank.example/v1/payments/sepa-credit-transfers/p-1/authorisations";
    let start = PaymentInitiation::explicit_start(&BerlinGroup).unwrap();
    let request = ExplicitStart::authorise(start, &cx, &link.parse().unwrap(), &redirects()).unwrap();
    assert_eq!(request.header_text("tpp-redirect-preferred"), Some("false"));
    let body = json!({
        "authorisationId": "a/1",
        "scaStatus": "psuIdentified",
        "_links": { "startAuthorisationWithPsuAuthentication": { "href": "/v1/x" } },
    });
    let sca = start.authorised(&cx, &link.parse().unwrap(), &answer(201, &[], &body)).ok().unwrap();
    let place = format!("{link}/a%2F1").parse().unwrap();
    let expected = EmbeddedSca { place, started: true, step: EmbeddedStep::Password };
    assert!(sca == ScaStart::Embedded(Box::new(expected)));
}

#[test]
fn each_step_is_a_put_to_the_authorisation_signed_and_with_the_psu() {
    let profile = embedded();
    let psu = crate::world::psu();
    let cx = CallContext { psu: Some(&psu), psu_id: Some("anna"), ..context(&profile) };
    for (input, body) in [
        (PsuInput::Password("p".into()), json!({ "psuData": { "password": "p" } })),
        (PsuInput::Method("m-1".into()), json!({ "authenticationMethodId": "m-1" })),
        (PsuInput::Code("007".into()), json!({ "scaAuthenticationData": "007" })),
    ] {
        let request = BerlinGroup.give(&cx, &at(EmbeddedStep::Password), &input).unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("PUT", PLACE));
        assert_eq!(sent(&request), body);
        assert_eq!((request.effect, request.signature), (Effect::Write, Signature::DigestAndSignature));
        assert_eq!(request.header_text("psu-id"), Some("anna"));
        assert_eq!(request.header_text("psu-ip-address"), Some("192.0.2.1"));
        assert!(!format!("{request:?}").contains("007"));
    }
    let elsewhere = EmbeddedSca { place: "https://evil.example/".parse().unwrap(), ..at(EmbeddedStep::Done) };
    assert!(BerlinGroup.give(&cx, &elsewhere, &PsuInput::Code("007".into())).is_err());
    assert!(BerlinGroup.image(&cx, &elsewhere.place).is_err());
}

/// XS2A 14.13 and 14.17: `scaMethods` and `authenticationType`.
#[test]
fn methods_come_with_the_names_the_psu_knows_them_by() {
    let kinds = [
        ("SMS_OTP", ScaMethodKind::Sms),
        ("CHIP_OTP", ScaMethodKind::Chip),
        ("PHOTO_OTP", ScaMethodKind::Photo),
        ("PUSH_OTP", ScaMethodKind::Push),
        ("SMTP_OTP", ScaMethodKind::Mail),
        ("DANCE", ScaMethodKind::Other),
    ];
    let methods: Vec<_> = kinds
        .iter()
        .map(|(kind, _)| {
            json!({
                "authenticationMethodId": format!("id-{kind}"), "authenticationType": kind,
                "name": format!("My {kind}"),
            })
        })
        .collect();
    let body = json!({
        "scaStatus": "psuAuthenticated", "scaMethods": methods,
        "_links": { "selectAuthenticationMethod": { "href": "/x" } },
    });
    let EmbeddedStep::Choose(found) = step(&body) else { panic!("a choice") };
    assert_eq!(found.iter().map(|method| method.kind).collect::<Vec<_>>(), kinds.map(|(_, kind)| kind));
    assert_eq!((found[0].id.as_str(), found[0].name.as_deref()), ("id-SMS_OTP", Some("My SMS_OTP")));
}

/// XS2A 14.14, `challengeData`.
#[test]
fn a_challenge_is_read_with_all_that_helps_to_answer_it() {
    let links = json!({ "authoriseTransaction": { "href": "/x" } });
    let body = json!({
        "scaStatus": "scaMethodSelected",
        "psuMessage": "Please scan",
        "chosenScaMethod": { "authenticationMethodId": "m", "authenticationType": "PHOTO_OTP" },
        "challengeData": {
            "image": png(), "imageLink": "https://xs2a.bank.example/i", "data": ["87", "99"],
            "otpMaxLength": 6, "otpFormat": "integer", "additionalInformation": "Use your app",
        },
        "_links": links,
    });
    let method = ScaMethod { id: "m".into(), kind: ScaMethodKind::Photo, name: None, explanation: None };
    let expected = Challenge {
        method: Some(method),
        words: vec!["Please scan".into(), "Use your app".into()],
        data: vec!["87".into(), "99".into()],
        image: Some(png()),
        image_link: None,
        digits: true,
        max_length: Some(6),
    };
    assert!(step(&body) == EmbeddedStep::Answer(Box::new(expected.clone())));
    // Members that lack a letter, and one text in the place of a list.
    let misspelt = json!({
        "scaStatus": "scaMethodSelected",
        "challengeData": { "data": "87", "optMaxLength": "6", "optFormat": "integer" },
        "_links": links,
    });
    let EmbeddedStep::Answer(challenge) = step(&misspelt) else { panic!("{misspelt}") };
    assert_eq!(challenge.data, ["87"]);
    assert_eq!((challenge.digits, challenge.max_length), (true, Some(6)));
    // Another try: the bank says nothing of the challenge, which is still the same.
    let again = json!({ "scaStatus": "scaMethodSelected", "_links": links });
    let next = given(&at(EmbeddedStep::Answer(Box::new(expected.clone()))), &again).ok().unwrap();
    assert!(next.step == EmbeddedStep::Answer(Box::new(expected)));
    let refused = |challenge: Value| {
        let body = json!({ "scaStatus": "started", "challengeData": challenge, "_links": links });
        given(&at(EmbeddedStep::Password), &body).err().and_then(|error| error.field)
    };
    let svg = STANDARD.encode("<svg onload='x'/>");
    assert_eq!(refused(json!({ "image": svg })).as_deref(), Some("/challengeData/image"));
    assert_eq!(refused(json!({ "imageLink": "no link" })).as_deref(), Some("/challengeData/imageLink"));
    assert_eq!(refused(json!({ "otpMaxLength": -1 })).as_deref(), Some("/challengeData/otpMaxLength"));
}

#[test]
fn a_picture_that_is_linked_is_fetched_from_the_bank_alone() {
    let profile = embedded();
    let cx = context(&profile);
    let request = BerlinGroup.image(&cx, &"https://xs2a.bank.example/i".parse().unwrap()).unwrap();
    assert_eq!((request.method.as_str(), request.header_text("accept")), ("GET", Some("image/png")));
    let picture = raw(200, &[("content-type", "image/png")], STANDARD.decode(png()).unwrap());
    assert_eq!(BerlinGroup.image_read(&cx, &picture).unwrap(), png());
    let page = raw(200, &[("content-type", "image/png")], b"<html>".to_vec());
    assert_eq!(BerlinGroup.image_read(&cx, &page).unwrap_err().kind, BankErrorKind::MalformedResponse);
}

/// XS2A 14.15: "finalised", "failed" and "exempted" are final.
#[test]
fn an_authentication_ends_as_its_status_says() {
    let links = json!({ "updatePsuAuthentication": { "href": "/x" } });
    for (status, expected) in [
        ("finalised", EmbeddedStep::Done),
        ("exempted", EmbeddedStep::Done),
        ("failed", EmbeddedStep::Failed),
        ("psuIdentified", EmbeddedStep::Password),
    ] {
        assert!(step(&json!({ "scaStatus": status, "_links": links })) == expected, "{status}");
    }
    let profile = embedded();
    let cx = context(&profile);
    let sca = at(EmbeddedStep::Password);
    let asked = BerlinGroup.progress(&cx, &sca).unwrap().unwrap();
    assert_eq!((asked.method.as_str(), asked.url.as_str()), ("GET", PLACE));
    let read = |status: &str| {
        BerlinGroup.progress_read(&cx, &answer(200, &[], &json!({ "scaStatus": status }))).ok()
    };
    assert!(read("finalised") == Some(Some(EmbeddedStep::Done)));
    assert!(read("started") == Some(None));
    let unknown = given(&sca, &json!({ "scaStatus": "dancing", "_links": links })).err().unwrap();
    assert_eq!(unknown.kind, BankErrorKind::MalformedResponse);
    let app = answer(
        200,
        &[("aspsp-sca-approach", "DECOUPLED")],
        &json!({
            "scaStatus": "started", "psuMessage": "Look at your phone",
        }),
    );
    let wait = BerlinGroup.given(&cx, &sca, &app).ok().unwrap().step;
    assert!(wait == EmbeddedStep::Wait(Some("Look at your phone".into())));
    let stuck = given(&sca, &json!({ "scaStatus": "started" })).err().unwrap();
    assert_eq!(stuck.kind, BankErrorKind::ScaMethodUnsupported);
}

/// XS2A 14.11: "PSU_CREDENTIALS_INVALID".
#[test]
fn wrong_credentials_may_be_tried_again_unless_the_bank_says_that_it_is_over() {
    let profile = embedded();
    let cx = context(&profile);
    let sca = at(EmbeddedStep::Password);
    let message = json!([{ "category": "ERROR", "code": "PSU_CREDENTIALS_INVALID" }]);
    let wrong = |body: Value| BerlinGroup.given(&cx, &sca, &answer(401, &[], &body));
    let error = wrong(json!({ "tppMessages": message })).err().unwrap();
    assert_eq!(error.kind, BankErrorKind::PsuAuthenticationFailed);
    let open = wrong(json!({ "tppMessages": message, "scaStatus": "psuIdentified" }));
    assert_eq!(open.err().unwrap().kind, BankErrorKind::PsuAuthenticationFailed);
    let over = wrong(json!({ "tppMessages": message, "scaStatus": "failed" })).ok().unwrap();
    assert!(over == at(EmbeddedStep::Failed));
}

/// `psuData.additionalPassword` and the links "updatePsuIdentification" and
/// "updateAdditionalPsuAuthentication": a name goes into the header, a second password
/// beside the first, and neither is asked for before the bank says so.
#[test]
fn a_bank_may_ask_who_it_is_and_for_a_second_password() {
    let profile = embedded();
    let link = |name: &str| json!({ "_links": { name: { "href": "/v1/consents/c-1/authorisations/a-1" } } });
    let first = link("updatePsuIdentification")["_links"].clone();
    let expected = ScaStart::Embedded(Box::new(at(EmbeddedStep::Identify)));
    assert!(lodged(&profile, first.clone()) == Some(expected));
    assert!(lodged(&super::profile(), first) == Some(ScaStart::Unsupported));
    assert!(step(&link("updateAdditionalPsuAuthentication")) == EmbeddedStep::SecondPassword);

    let cx = context(&profile);
    let name = PsuInput::Identification("anna".into());
    let request = BerlinGroup.give(&cx, &at(EmbeddedStep::Identify), &name).unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("PUT", PLACE));
    assert_eq!((request.header_text("psu-id"), sent(&request)), (Some("anna"), json!({})));
    let second = PsuInput::SecondPassword("s3cret".into());
    let request = BerlinGroup.give(&cx, &at(EmbeddedStep::SecondPassword), &second).unwrap();
    assert_eq!(sent(&request), json!({ "psuData": { "additionalPassword": "s3cret" } }));

    // How a password is to be encrypted the standard does not say.
    for encrypted in ["updateEncryptedPsuAuthentication", "updateAdditionalEncryptedPsuAuthentication"] {
        let error = given(&at(EmbeddedStep::Password), &link(encrypted)).err().unwrap();
        assert_eq!(error.kind, BankErrorKind::ScaMethodUnsupported, "{encrypted}");
        assert!(lodged(&profile, link(encrypted)["_links"].clone()) == Some(ScaStart::Unsupported));
    }
}

/// A flicker code is told as what a person types into the reader; of another method it
/// stays what the bank says it is.
#[test]
fn what_flickers_is_told_as_what_is_typed() {
    let typed = |kind: &str, data: &str| {
        let body = json!({
            "chosenScaMethod": { "authenticationMethodId": "m", "authenticationType": kind },
            "challengeData": { "data": [data] },
            "_links": { "authoriseTransaction": { "href": "/x" } },
        });
        let EmbeddedStep::Answer(challenge) = step(&body) else { panic!("a code is wanted") };
        challenge.data
    };
    let code = "11048714955205123456789F14302C303107";
    assert_eq!(typed("CHIP_OTP", code), ["87149552", "123456789", "0,01"]);
    assert_eq!(typed("CHIP_OTP", "87149552"), ["87149552"]);
    assert_eq!(typed("SMS_OTP", code), [code]);
}
