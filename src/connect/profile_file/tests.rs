use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::*;
use crate::bank_oauth::Role;
use crate::{BankFilter, Deployment, Registry};

fn embedded() -> Vec<Profile> {
    EMBEDDED.iter().flat_map(|(file, text)| read_profiles(file, text).0).collect()
}

#[test]
fn the_profiles_that_ship_have_no_problem() {
    for (file, text) in EMBEDDED {
        let problems: Vec<String> = lint(file, text).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
    let profiles = embedded();
    let distinct: std::collections::BTreeSet<_> = profiles.iter().map(|profile| &profile.id).collect();
    assert_eq!((profiles.len(), distinct.len()), (58, 58));
}

#[test]
fn a_bank_is_listed_but_not_connectable_until_the_deployment_says_what_it_needs() {
    let registry = Registry::embedded(Vec::new());
    assert_eq!(registry.len(), 58);
    let filter = BankFilter { text: Some("barclays personal".into()), ..BankFilter::default() };
    let found = registry.list(&filter, None, 10);
    let [profile] = found.as_slice() else { panic!("{} found", found.len()) };
    assert!(!profile.connectable());
    let deployment = Deployment {
        client: Some(crate::RegisteredClient::known_as("client")),
        financial_id: Some("id".into()),
        ..Deployment::default()
    };
    let deployed = (**profile).clone().deployed(deployment);
    assert!(deployed.connectable(), "{:?}", deployed.missing);
}

#[test]
fn every_problem_is_found_and_names_file_key_and_reason() {
    let text = r#"
        group = "Example"
        colour = "red"
        [defaults]
        dialect = "uk-open-banking"
        region = "uk"
        environment = "live"
        client_auth = "certificate"
        countries = ["GB"]
        [[brand]]
        id = "Not A Slug"
        name = "One"
        shape = "round"
        accounts_api = { use = "4.0", "3.1" = "http://bank.example/aisp" }
        quirks = [{ name = "no-such-quirk" }, { name = "scope-replaced", scoop = "x", at = ["auth.*", "token.refesh.aisp"] }]
        [[brand]]
        id = "gb-two"
        name = "Two"
        countries = ["GB", "Britain"]
    "#;
    let problems = lint("example.toml", text);
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert!(problems.iter().all(|problem| problem.file == "example.toml" && !problem.why.is_empty()));
    assert_eq!(
        keys,
        [
            "colour",
            "brand[0].id",
            "brand[0].shape",
            "brand[0].accounts_api.3.1",
            "brand[0].accounts_api.use",
            "brand[0].quirks[0].name",
            "brand[0].quirks[1].at[1]",
            "brand[0].quirks[1].scoop",
            "brand[1].countries[1]",
        ]
    );
    assert!(!lint("example.toml", "group = ").is_empty());
}

#[test]
fn a_brand_overrides_its_group_and_adds_to_its_quirks() {
    let text = r#"
        group = "Example"
        [defaults]
        dialect = "berlin-group"
        region = "eu"
        environment = "live"
        client_auth = "certificate"
        accounts_api = { use = "1.3", "1.3" = "https://one.example/v1" }
        max_history_days = 90
        quirks = [{ name = "bearer-any-case" }]
        [[brand]]
        id = "de-one"
        name = "One"
        [[brand]]
        id = "de-two"
        name = "Two"
        max_history_days = 365
        accounts_api = { "1.3" = "https://two.example/v1" }
        quirks = [{ name = "link-ends-in-slash" }]
    "#;
    let (profiles, problems) = read_profiles("example.toml", text);
    assert_eq!(problems, []);
    let two = &profiles[1];
    assert_eq!((profiles[0].max_history_days, two.max_history_days), (90, 365));
    assert_eq!(two.accounts_api.as_ref().unwrap().url.as_str(), "https://two.example/v1");
    assert_eq!(two.quirks.iter().count(), 2);
    assert!(two.permits(&"https://two.example/v1/accounts".parse().unwrap()));
    for foreign in [
        "https://one.example/v1",
        "http://two.example/v1",
        "https://two.example:8443/",
        "https://u@two.example/",
    ] {
        assert!(!two.permits(&foreign.parse().unwrap()), "{foreign}");
    }
}

#[test]
fn banks_of_stet_and_polish_api_are_described_like_any_other() {
    let text = |key_url: &str, tag: &str| {
        format!(
            r#"
        group = "Example"
        [defaults]
        environment = "live"
        client_auth = "certificate"
        client_id = "PSDFR-ACPR-100001"
        region = "eu"
        [[brand]]
        id = "fr-one"
        name = "One"
        dialect = "stet"
        sca = ["oauth"]
        accounts_api = {{ use = "1.4", "1.4" = "https://one.example/psd2/v1.4" }}
        signing = {{ method = "digest-signature-by-url", key_url = "{key_url}" }}
        payment_schemes = ["SEPA_CT", "SEPA_INST"]
        [[brand]]
        id = "pl-two"
        name = "Two"
        dialect = "polish-api"
        sca = ["redirect"]
        accounts_api = {{ use = "2.1", "2.1" = "https://two.example/v2_1_1.1" }}
        signing = {{ method = "body-jws" }}
        payment_schemes = ["ELIXIR", "EXPRESS_ELIXIR"]
        [[brand]]
        id = "at-three"
        name = "Three"
        dialect = "berlin-group"
        sca = ["redirect"]
        accounts_api = {{ use = "1.3", "1.3" = "https://three.example/v1" }}
        signing = {{ method = "message-signature", tag = "{tag}" }}
    "#
        )
    };
    let key_url = "https://tpp.example/qseal_{sha256}.pem";
    let (profiles, problems) = read_profiles("example.toml", &text(key_url, "psd2"));
    assert_eq!(problems, []);
    assert_eq!(profiles[0].signing, Signing::DigestSignatureByUrl { key_url: key_url.to_owned() });
    assert_eq!(profiles[1].signing, Signing::BodyJws);
    assert_eq!(profiles[1].payment_schemes, [PaymentScheme::Elixir, PaymentScheme::ExpressElixir]);
    let moved = Signing::MessageSignature { key_id: None, tag: Some("psd2".to_owned()) };
    assert_eq!(profiles[2].signing, moved);
    let problems = lint("example.toml", &text(key_url, "für"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].key, "brand[2].signing.tag");
    for wrong in ["https://tpp.example/qseal.pem", "http://tpp.example/{sha256}"] {
        let problems = lint("example.toml", &text(wrong, "psd2"));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key, "brand[0].signing.key_url");
    }
}

#[test]
fn a_next_page_under_a_sister_brands_address_is_asked_of_the_brand_itself() {
    let profiles = embedded();
    let profile =
        profiles.iter().find(|profile| profile.id.as_str() == "gb-lloyds-halifax-personal").unwrap();
    let base = &profile.accounts_api.as_ref().unwrap().url;
    let sister = "https://secure-api.lloydsbank.com/prod01/lbg/lyds/open-banking/v4.0/aisp";
    let next = |link: String| crate::NextPage::of(profile, base, &link, "/Links/Next");
    let page = next(format!("{sister}/accounts/1/transactions?page=2")).ok().unwrap();
    assert_eq!(page.url().as_str(), format!("{base}/accounts/1/transactions?page=2"));
    assert!(next(format!("{sister}.evil.example/")).is_err());
    assert!(next("https://secure-api.lloydsbank.com/elsewhere".into()).is_err());
}

/// A quirk that weakens a check stands nowhere by accident: the bank loads only
/// if the file says for that quirk why it may be, and the problem is told once,
/// where it stands.
#[test]
fn a_quirk_that_weakens_a_check_loads_only_with_a_reason() {
    let text = r#"group = "Example"
        [defaults]
        dialect = "uk-open-banking"
        region = "uk"
        environment = "live"
        client_auth = "certificate"
        quirks = [
            { name = "bearer-any-case" },
            { name = "id-token-nonce-missing", at = ["auth.aisp"] },
        ]
        [[brand]]
        id = "gb-one"
        name = "One"
        [[brand]]
        id = "gb-two"
        name = "Two"
        quirks = [{ name = "request-audience", audience = "a" }, { name = "request-audience", audience = "a", also_id_token_issuer = true }]
    "#;
    let (profiles, problems) = read_profiles("x.toml", text);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(profiles.len(), 0);
    assert_eq!(
        problems,
        [
            "x.toml:9: defaults.quirks[1].name: weakens a check (an id_token need not repeat the nonce); \
             allow_weaker.id-token-nonce-missing must say why that may be",
            "x.toml:17: brand[1].quirks[1].name: weakens a check (an id_token may name another issuer than the \
             metadata); allow_weaker.request-audience must say why that may be",
        ]
    );
    let nonce = "id-token-nonce-missing = \"it repeats none\"";
    let allowed = text.replace("quirks = [\n", &format!("allow_weaker = {{ {nonce} }}\nquirks = [\n"));
    let (profiles, problems) = read_profiles("x.toml", &allowed);
    assert_eq!((profiles.len(), problems.len()), (1, 1), "{problems:?}");
    assert_eq!(profiles[0].allow_weaker[&QuirkName::IdTokenNonceMissing], "it repeats none");
    assert_eq!(profiles[0].checks_relaxed(Role::Accounts), ["id-token-nonce-missing"]);
    // No reason is none, and what weakens nothing needs none.
    for reason in ["id-token-nonce-missing = \"\"", "bearer-any-case = \"x\""] {
        assert!(
            !lint("x.toml", &allowed.replace(nonce, &format!("{nonce}, {reason}"))).is_empty(),
            "{reason}"
        );
    }
}

/// Rules and patterns are compiled, and tried, when the file is read.
#[test]
fn a_rule_that_is_wrong_is_named_with_file_line_and_key() {
    let text = r#"group = "G"
        [[brand]]
        id = "de-one"
        name = "One"
        dialect = "berlin-group"
        region = "eu"
        environment = "live"
        client_auth = "certificate"
        [brand.map.patterns]
        payee = '('
        Noise = 'x'
        [brand.map.transactions]
        creditor_name = 'entry.'
        debtor_name = 'entrry.name'
        amount = 'frobnicate(value)'
        remittance = 'loop {}'
        payee = 'value'
    "#;
    let problems: Vec<String> = lint("x.toml", text).iter().map(ToString::to_string).collect();
    let begins = [
        "x.toml:10: brand[0].map.patterns.payee: is no regular expression",
        "x.toml:11: brand[0].map.patterns.Noise: is named in small letters",
        "x.toml:13: brand[0].map.transactions.creditor_name: is no rule: ",
        "x.toml:14: brand[0].map.transactions.debtor_name: is no rule: Undefined variable: entrry",
        "x.toml:15: brand[0].map.transactions.amount: fails on an entry that has nothing: Function not found",
        "x.toml:16: brand[0].map.transactions.remittance: fails on an entry that has nothing: Too many operations",
        "x.toml:17: brand[0].map.transactions.payee: is not a key here",
    ];
    assert_eq!(problems.len(), begins.len(), "{problems:#?}");
    for (problem, begin) in problems.iter().zip(begins) {
        assert!(problem.starts_with(begin), "{problem}");
    }
}

#[test]
fn a_misspelt_key_is_answered_with_the_one_that_is_meant() {
    let text = "group = \"G\"\n[[brand]]\nid = \"de-one\"\nname = \"One\"\ndialect = \"berlin-group\"\nregion = \"eu\"\n\
                environment = \"live\"\nclient_auth = \"certificate\"\nmax_histroy_days = 90\nlimits = { max_inflight = 3 }\n";
    let problems: Vec<String> = lint("x.toml", text).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "x.toml:9: brand[0].max_histroy_days: is not a key here; is max_history_days meant?",
            "x.toml:10: brand[0].limits.max_inflight: is not a key here; is max_in_flight meant?",
        ]
    );
}

/// What a file says is the same in YAML and in TOML, and so is what is wrong with it.
#[test]
fn a_profile_in_yaml_is_the_profile_in_toml() {
    let yaml = "group: Example\ndefaults: {dialect: berlin-group, region: eu, environment: live}\nbrand:\n\
                - id: de-one\n  name: One\n  client_auth: certificate\n  max_history_days: 365\n  accounts_api:\n    \
                use: '1.3'\n    '1.3': https://one.example/v1\n  quirks:\n  - name: link-ends-in-slash\n    at: [aisp]\n";
    let toml = r#"
        group = "Example"
        defaults = { dialect = "berlin-group", region = "eu", environment = "live" }
        [[brand]]
        id = "de-one"
        name = "One"
        client_auth = "certificate"
        max_history_days = 365
        accounts_api = { use = "1.3", "1.3" = "https://one.example/v1" }
        quirks = [{ name = "link-ends-in-slash", at = ["aisp"] }]
    "#;
    let [one, other] = [("x.yaml", yaml), ("x.toml", toml)].map(|(file, text)| read_profiles(file, text));
    assert_eq!((&one.1, &other.1), (&Vec::new(), &Vec::new()));
    assert_eq!(format!("{:?}", one.0), format!("{:?}", other.0));
    let wrong = yaml.replace("max_history_days: 365", "max_history_days: yes").replace("at:", "when:");
    let problems: Vec<String> = lint("x.yaml", &wrong).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "x.yaml:7: brand[0].max_history_days: is a whole number from 1 to 65535",
            "x.yaml:13: brand[0].quirks[0].when: is not a key here",
        ]
    );
    let bomb = format!("a: &a [x]\n{}", "b: [*a, *a, *a]\n");
    assert_eq!(lint("x.yml", &bomb)[0].to_string(), "x.yml:1: a: anchors, aliases and tags are not taken");
    assert_eq!(lint("x.toml", &" ".repeat(LARGEST + 1))[0].why, "is larger than 1 MiB");
}

/// What the collected facts call a quirk, and what we call it.
const COLLECTED: [(&str, QuirkName); 61] = [
    ("aisp_reauth_not_used", QuirkName::NoSecondAuthorization),
    ("auth_consent_id_query_param", QuirkName::ConsentInQuery),
    ("auth_endpoint_override", QuirkName::AuthorizationEndpointForRole),
    ("auth_extra_query_params", QuirkName::ExtraQuery),
    ("auth_nonce_duplicated_in_query", QuirkName::NonceInQueryToo),
    ("auth_query_not_percent_encoded", QuirkName::QueryNotEncoded),
    ("auth_query_wrapped_base64url", QuirkName::QueryWrapped),
    ("auth_request_aud_override", QuirkName::RequestAudience),
    ("auth_scope_override", QuirkName::ScopeReplaced),
    ("consent_usable_after_delay", QuirkName::ConsentSettles),
    ("contract_present_indicator_omitted", QuirkName::ContractIndicatorLeftOut),
    ("datetime_invalid_string_is_null", QuirkName::InvalidDateIsNone),
    ("dcr_aud_override", QuirkName::RegistrationAudience),
    ("dcr_content_type_jose", QuirkName::RegistrationMediaType),
    ("dcr_grant_types_override", QuirkName::RegistrationGrants),
    ("dcr_management_token_scope", QuirkName::RegistrationTokenScope),
    ("dcr_management_uses_registration_access_token", QuirkName::RegistrationAccessToken),
    ("dcr_scope_returned_as_array", QuirkName::RegistrationScopeList),
    ("dcr_subject_type", QuirkName::RegistrationSubjectType),
    ("dcr_timestamps_in_millis", QuirkName::RegistrationTimesInMillis),
    ("discovery_absent_static_metadata", QuirkName::MetadataUnpublished),
    ("discovery_response_modes_missing", QuirkName::MetadataResponseModes),
    ("discovery_url_override", QuirkName::MetadataElsewhere),
    ("hybrid_response_in_query", QuirkName::HybridAnswerInQuery),
    ("id_token_absent_on_refresh", QuirkName::IdTokenMissingOnRefresh),
    ("id_token_acr_absent", QuirkName::IdTokenAcrMissing),
    ("id_token_acr_not_enforced", QuirkName::IdTokenAcrUnreliable),
    ("id_token_auth_time_absent", QuirkName::IdTokenAuthTimeMissing),
    ("id_token_consent_id_absent", QuirkName::IdTokenIntentMissing),
    ("id_token_exp_in_millis", QuirkName::IdTokenExpiryInMillis),
    ("id_token_nonce_absent", QuirkName::IdTokenNonceMissing),
    ("id_token_not_validated", QuirkName::IdTokenUnreliable),
    ("id_token_sub_is", QuirkName::IdTokenSubject),
    ("jws_b64_false_header", QuirkName::JwsPayloadNotEncoded),
    ("links_base_url_alternative", QuirkName::LinksOfAnotherBrand),
    ("links_base_url_ignored", QuirkName::LinksUnreliable),
    ("links_self_omits_id", QuirkName::SelfLinkWithoutId),
    ("links_trailing_slash_allowed", QuirkName::LinkEndsInSlash),
    ("misspelt_contract_present_indicator", QuirkName::ContractIndicatorMisspelt),
    ("payment_context_code_party_to_party", QuirkName::PaymentContextFixed),
    ("pkce_used", QuirkName::PkceExpected),
    ("plain_oauth2_no_oidc", QuirkName::NoOpenIdConnect),
    ("read_refund_account_omitted", QuirkName::RefundAccountNotAsked),
    ("reauth_detected_by_consent_status", QuirkName::SecondAuthorizationByStatus),
    ("refresh_token_absent", QuirkName::RefreshTokenMissing),
    ("refresh_token_with_client_credentials", QuirkName::RefreshTokenForClient),
    ("request_field_removed", QuirkName::FieldLeftOut),
    ("response_contract_present_indicator_unreliable", QuirkName::ContractIndicatorUnreliable),
    ("response_debtor_unreliable", QuirkName::DebtorEchoUnreliable),
    ("response_funds_available_unreliable", QuirkName::FundsAnswerUnreliable),
    ("response_refund_unreliable", QuirkName::RefundUnreliable),
    ("response_status_unreliable", QuirkName::StatusUnreliable),
    ("sandbox_supplementary_data", QuirkName::SandboxSteering),
    ("second_session_use_balances_not_account", QuirkName::AccountListOnce),
    ("separate_registration_per_role", QuirkName::RegistrationPerRole),
    ("token_scope_empty_is_absent", QuirkName::TokenScopeEmpty),
    ("token_scope_expected_override", QuirkName::TokenScopeExpected),
    ("token_scope_extra_values", QuirkName::TokenScopeWider),
    ("token_scope_in_request", QuirkName::TokenScopeRequested),
    ("token_type_case_insensitive", QuirkName::BearerAnyCase),
    ("vrp_refund_nested_account", QuirkName::VrpRefundNested),
];

#[test]
fn every_collected_fact_about_uk_brands_is_in_a_profile() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/uk-bank-profiles.yaml");
    let Ok(facts) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no collected facts beside the checkout ({path})");
        return;
    };
    let ours: BTreeMap<&str, QuirkName> = COLLECTED.into_iter().collect();
    let mut stated: BTreeMap<QuirkName, usize> = BTreeMap::new();
    for line in facts.lines() {
        let Some(rest) = line.trim_start().strip_prefix("- {key: ") else { continue };
        let key = rest.split([',', '}']).next().unwrap_or_default();
        let name = *ours.get(key).unwrap_or_else(|| panic!("no name for {key}"));
        *stated.entry(name).or_default() += 1;
    }
    let mut held: BTreeMap<QuirkName, usize> = BTreeMap::new();
    for profile in embedded() {
        for quirk in profile.quirks.iter() {
            *held.entry(quirk.name).or_default() += 1;
        }
    }
    assert_eq!(held, stated);
    assert_eq!((held.len(), held.values().sum::<usize>()), (61, 470));
    assert_eq!(QuirkName::ALL.len(), 61);
}

/// What an operator may say about how a bank is to be treated.
#[test]
fn limits_and_maintenance_are_read_and_checked() {
    let file = |more: &str| {
        let text = format!(
            "group = \"G\"\n[[brand]]\nid = \"de-bank\"\nname = \"B\"\nregion = \"eu\"\n\
             dialect = \"berlin-group\"\nenvironment = \"live\"\nclient_auth = \"certificate\"\n{more}"
        );
        read_profiles("f.toml", &text)
    };
    let (profiles, problems) = file(
        "limits = { retries = 0, rest_seconds = 5, hedge_after_milliseconds = 250 }\n\
         maintenance = [{ from = \"2026-11-29T22:00:00Z\", until = \"2026-11-29T23:00:00Z\" }]\n",
    );
    assert_eq!(problems, []);
    let limits = profiles[0].limits;
    assert_eq!((limits.retries, limits.open_for.as_secs()), (0, 5));
    assert_eq!(limits.hedge_after.unwrap().as_millis(), 250);
    assert_eq!(profiles[0].maintenance[0].until.to_string(), "2026-11-29T23:00:00Z");
    let (_, problems) = file(
        "limits = { retries = 9 }\n\
         maintenance = [{ from = \"2026-11-29T22:00:00Z\", until = \"2026-11-29T21:00:00Z\" }]\n",
    );
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["brand[0].limits.retries", "brand[0].maintenance[0].until"]);
}

/// Passwords lie in files of sandboxes only, where they are published anyway.
#[test]
fn users_are_those_of_sandboxes() {
    let file = |environment: &str, user: &str| {
        let text = format!(
            "group = \"G\"\n[[brand]]\nid = \"de-bank\"\nname = \"B\"\nregion = \"eu\"\n\
             dialect = \"berlin-group\"\nenvironment = \"{environment}\"\nsca = [\"embedded\"]\n\
             client_auth = \"certificate\"\n             sandbox_users = [{{ username = \"u\", {user} }}]\n"
        );
        read_profiles("f.toml", &text)
    };
    let (profiles, problems) = file("sandbox", "password = \"p\", code = \"1\"");
    assert_eq!(problems, []);
    let user = &profiles[0].sandbox_users[0];
    assert_eq!((user.username.as_str(), user.password.expose_secret()), ("u", "p"));
    assert_eq!(user.code.as_ref().unwrap().expose_secret(), "1");
    assert_eq!(profiles[0].approaches(), [domain::Approach::Embedded]);
    let keys = |environment: &str, user: &str| {
        let (_, problems) = file(environment, user);
        problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("live", "password = \"p\""), ["brand[0].sandbox_users"]);
    assert_eq!(keys("sandbox", "code = \"1\""), ["brand[0].sandbox_users[0].password"]);
}

/// A bank that no dialect fits names the plugin that speaks to it, and its own
/// version, which no standard has.
#[test]
fn a_plugin_is_named_by_the_dialect_and_has_versions_of_its_own() {
    let read = |dialect: &str, version: &str| {
        let text = format!(
            "group = \"G\"\n[[brand]]\nid = \"xx-bank\"\nname = \"B\"\nregion = \"eu\"\ndialect = \"{dialect}\"\n\
             environment = \"live\"\nclient_auth = \"certificate\"\n\
             accounts_api = {{ use = \"{version}\", \"{version}\" = \"https://bank.example/v\" }}\n"
        );
        read_profiles("f.toml", &text)
    };
    let (profiles, problems) = read("plugin:own-ways", "7.1");
    assert_eq!(problems, []);
    assert_eq!(profiles[0].plugin(), Some("own-ways"));
    assert_eq!(profiles[0].accounts_api().unwrap().version, "7.1");

    for (dialect, version, key) in [
        ("berlin-group", "7.1", "brand[0].accounts_api.7.1"),
        ("plugin:own-ways", "v7", "brand[0].accounts_api.v7"),
        ("plugin:Own", "7", "brand[0].dialect"),
        ("plugin:../own", "7", "brand[0].dialect"),
        ("plugin:", "7", "brand[0].dialect"),
    ] {
        let keys: Vec<_> = read(dialect, version).1.into_iter().map(|problem| problem.key).collect();
        assert!(keys.iter().any(|found| found == key), "{dialect} {version}: {keys:?}");
    }
}

/// Rules are for entries: where a standard has none, or a plugin reads them itself, a
/// rule would never be asked.
#[test]
fn rules_that_nobody_would_ask_are_refused() {
    let lint_of = |dialect: &str, rule: &str| {
        let text = format!(
            "group = \"G\"\n[[brand]]\nid = \"pl-examplebank\"\nname = \"B\"\ndialect = \"{dialect}\"\n\
             region = \"eu\"\nenvironment = \"live\"\nclient_auth = \"certificate\"\n[brand.map]\n{rule}\n"
        );
        lint("x.toml", &text).into_iter().map(|problem| problem.key).collect::<Vec<_>>()
    };
    let (balances, accounts) = ("balances.type = '\"CLBD\"'", "accounts.product = 'value'");
    assert_eq!(lint_of("polish-api", balances), ["brand[0].map.balances"]);
    assert_eq!(lint_of("polish-api", accounts), [""; 0]);
    assert_eq!(lint_of("stet", balances), [""; 0]);
    assert_eq!(lint_of("plugin:example", accounts), ["brand[0].map"]);
}
