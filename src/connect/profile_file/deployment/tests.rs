use super::*;
use crate::read_profiles;

const BANK: &str = r#"
    group = "Example"
    [[brand]]
    id = "gb-example"
    name = "Example"
    dialect = "uk-open-banking"
    region = "uk"
    environment = "live"
    countries = ["GB"]
    sca = ["oauth"]
    client_auth = "certificate"
    client_id = "deployment"
    financial_id = "deployment"
    accounts_api = { use = "4.0", "4.0" = "deployment" }
    authorization_server = { issuer = "deployment", response_type = "code" }
    registration = { automatic = true }
"#;

fn bank(text: &str) -> crate::Profile {
    let (mut profiles, problems) = read_profiles("gb-example.toml", text);
    assert!(problems.is_empty(), "{problems:?}");
    profiles.remove(0)
}

#[test]
fn a_deployment_comes_back_from_its_file_as_it_went_in() {
    let text = r#"
        client_id = "c-1"
        registration_client_uri = "https://bank.example/register/c-1"
        registration_access_token = "secret-1"
        financial_id = "0015800"
        issuer = "https://bank.example"
        accounts_api = { use = "4.0", "4.0" = "https://api.bank.example/aisp" }
        payments_api = { use = "4.0", "4.0" = "https://api.bank.example/pisp" }
        hosts = [".bank.example"]
        [aisp]
        client_id = "c-2"
        [pisp]
        client_id = "c-3"
        registration_access_token = "secret-3"
    "#;
    let first = read_deployment("gb-example.deployment.toml", text).unwrap();
    let second = read_deployment("x", &deployment_text(&first)).unwrap();
    for read in [&first, &second] {
        let client = read.client_for(None).unwrap();
        assert_eq!(
            (client.client_id.as_str(), client.client_uri.as_ref().unwrap().path()),
            ("c-1", "/register/c-1")
        );
        assert_eq!(client.access_token.as_ref().unwrap().expose_secret(), "secret-1");
        assert_eq!(read.client_for(Some(Role::Accounts)).unwrap().client_id, "c-2");
        assert_eq!(read.client_for(Some(Role::Payments)).unwrap().client_id, "c-3");
        assert!(read.is_secret());
    }
    assert_eq!(first.accounts_api, second.accounts_api);
    assert_eq!(first.payments_api.as_ref().unwrap().version, "4.0");
    assert_eq!((first.hosts, first.issuer), (second.hosts, second.issuer));
    assert!(!format!("{:?}", first.client).contains("secret-1"));
}

#[test]
fn what_is_wrong_with_a_deployment_is_found_as_in_a_profile() {
    let text = "client = \"c\"\nissuer = \"http://bank.example\"\nhosts = [\"x\"]\n\
                accounts_api = { use = \"4.0\", \"4.0\" = \"deployment\" }\n[aisp]\nregistration_access_token = \"t\"\n";
    let problems = read_deployment("gb-example.deployment.toml", text).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for expected in [
        "gb-example.deployment.toml:1: client: is not a key here; is client_id meant?",
        ":2: issuer: is an https address",
        "hosts[0]: ",
        "accounts_api: is to be given here",
        "aisp.client_id: is missing",
    ] {
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:#?}");
    }
}

/// Fail closed: a bank with an empty slot says which it is and who fills it.
#[test]
fn a_bank_with_empty_slots_names_each_and_how_to_fill_it() {
    let empty = bank(BANK);
    let said = empty.filled().unwrap_err().to_string();
    assert!(said.contains("client_id is empty (`consentry banks register` fills it)"), "{said}");
    for slot in ["financial_id", "authorization_server.issuer", "accounts_api"] {
        let expected = format!("{slot} is empty (write it into gb-example.deployment.toml)");
        assert!(said.contains(&expected), "{expected}: {said}");
    }
    let text = "client_id = \"c\"\nfinancial_id = \"f\"\nissuer = \"https://b.example\"\n\
                accounts_api = { use = \"4.0\", \"4.0\" = \"https://b.example/aisp\" }\n";
    let full = empty.deployed(read_deployment("x", text).unwrap());
    assert_eq!(full.filled(), Ok(()));
    assert_eq!((full.client_of(Role::Accounts), full.client_of(Role::Payments)), (Some("c"), Some("c")));
}

/// A bank that registers services one by one needs a client for each.
#[test]
fn one_client_is_not_enough_where_each_service_has_its_own() {
    let apart = "\n quirks = [{ name = \"registration-per-role\", roles = [\"aisp\", \"pisp\"] }]\n";
    let apart = bank(&format!("{BANK}{apart}"));
    let half = apart.clone().deployed(read_deployment("x", "[aisp]\nclient_id = \"a\"\n").unwrap());
    assert!(half.missing.contains(&"pisp.client_id".to_owned()), "{:?}", half.missing);
    assert!(!half.missing.contains(&"client_id".to_owned()));
    let both = "[aisp]\nclient_id = \"a\"\n[pisp]\nclient_id = \"p\"\n";
    let whole = apart.deployed(read_deployment("x", both).unwrap());
    assert!(!whole.missing.iter().any(|slot| slot.ends_with("client_id")), "{:?}", whole.missing);
    assert_eq!((whole.client_of(Role::Accounts), whole.client_of(Role::Payments)), (Some("a"), Some("p")));
}

#[test]
fn a_deployment_is_told_from_a_profile_by_its_name() {
    let of = |name: &str| deployment_of(Path::new(name)).map(|id| id.to_string());
    assert_eq!(of("banks/gb-monzo.deployment.toml").as_deref(), Some("gb-monzo"));
    assert_eq!((of("gb-monzo.toml"), of("Not A Slug.deployment.toml")), (None, None));
    assert!(!crate::is_profile_file(Path::new("gb-monzo.deployment.toml")));
}
