//! The model banks as profile files: for a gateway that knows of them as it knows of any bank.

use connect::{ApiBase, ClientAuth, Profile, ResponseType, ScaFlow, Signing};
use toml::{Table, Value};

/// The file of one bank.
pub(super) fn text(profile: &Profile) -> String {
    let mut brand = Table::new();
    let mut put = |key: &str, value: Value| drop(brand.insert(key.to_owned(), value));
    put("id", profile.id.to_string().into());
    put("name", profile.name.clone().into());
    put("dialect", profile.dialect.clone().into());
    put("region", profile.region.to_string().into());
    put("environment", "sandbox".into());
    put("client_auth", client_auth(profile.client_auth).into());
    put("countries", list(profile.countries.iter().map(ToString::to_string)));
    put("bics", list(profile.bics.clone()));
    put("bank_codes", list(profile.bank_codes.clone()));
    put("capabilities", list(profile.capabilities.iter().map(|one| one.as_str().to_owned())));
    put("payment_schemes", list(profile.payment_schemes.iter().map(|one| one.as_str().to_owned())));
    put("sca", list(profile.sca.iter().map(|one| way(*one).to_owned())));
    put("signing", signing(&profile.signing));
    put("psu_id_required", profile.psu_id_required.into());
    let apis = [
        ("accounts_api", &profile.accounts_api),
        ("payments_api", &profile.payments_api),
        ("funds_api", &profile.funds_api),
        ("recurring_api", &profile.recurring_api),
    ];
    for (key, api) in apis {
        if let Some(ApiBase { url, version }) = api {
            put(key, table([("use", version.clone().into()), (version, url.to_string().into())]));
        }
    }
    if let Some(days) = profile.max_consent_days {
        put("max_consent_days", i64::from(days).into());
    }
    if let Some(id) = &profile.client_id {
        put("client_id", id.clone().into());
    }
    if let Some(address) = &profile.payees.address {
        let asking = profile.payees.requesting_bic.clone().unwrap_or_default();
        put(
            "payee_verification",
            table([("address", address.to_string().into()), ("requesting_bic", asking.into())]),
        );
    }
    if let Some(server) = &profile.authorization_server {
        let issuer = server.issuer.clone().unwrap_or_default();
        let kind = match server.response_type {
            ResponseType::Code => "code",
            ResponseType::CodeIdToken => "code id_token",
        };
        put(
            "authorization_server",
            table([
                ("issuer", issuer.into()),
                ("response_type", kind.into()),
                ("pushed_requests", server.pushed_requests.into()),
                ("signed_request_object", server.signed_request_object.into()),
            ]),
        );
    }
    if profile.uk_open_banking.file_report.is_some() {
        put("uk_open_banking", table([("file_report", "pain.002".into())]));
    }
    let of_berlin_group = &profile.berlin_group;
    if profile.dialect == "berlin-group" {
        put(
            "berlin_group",
            table([
                ("card_accounts", of_berlin_group.card_accounts.into()),
                ("transaction_details", of_berlin_group.transaction_details.into()),
            ]),
        );
    }
    // Whoever plays with faults does not want to wait for half a minute.
    put("limits", table([("rest_seconds", 1.into())]));
    let file =
        table([("group", profile.brand_group.clone().into()), ("brand", vec![Value::Table(brand)].into())]);
    toml::to_string(&file).unwrap_or_default()
}

fn table<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn list(items: impl IntoIterator<Item = String>) -> Value {
    Value::Array(items.into_iter().map(Value::String).collect())
}

fn way(flow: ScaFlow) -> &'static str {
    match flow {
        ScaFlow::Redirect => "redirect",
        ScaFlow::OAuth => "oauth",
        ScaFlow::Decoupled => "decoupled",
        ScaFlow::Embedded => "embedded",
    }
}

fn client_auth(how: ClientAuth) -> &'static str {
    match how {
        ClientAuth::TlsClientAuth => "certificate",
        ClientAuth::PrivateKeyJwt => "signed-assertion",
    }
}

fn signing(signing: &Signing) -> Value {
    let method = |name: &str| ("method", Value::from(name));
    match signing {
        Signing::None => table([method("none")]),
        Signing::DigestSignature => table([method("digest-signature")]),
        Signing::DigestSignatureByUrl { key_url } => {
            table([method("digest-signature-by-url"), ("key_url", key_url.clone().into())])
        }
        Signing::DetachedJws { tan, verify_answers, .. } => table([
            method("detached-jws"),
            ("trust_anchor", tan.clone().into()),
            ("verify_answers", (*verify_answers).into()),
        ]),
        Signing::MessageSignature { tag, .. } => {
            let tag = tag.clone().map(|tag| ("tag", Value::from(tag)));
            table(std::iter::once(method("message-signature")).chain(tag))
        }
        Signing::BodyJws => table([method("body-jws")]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::banks::ModelBanks;

    /// What a gateway reads from the file is what a sandbox makes of its banks itself.
    #[test]
    fn a_file_says_what_the_sandbox_knows() {
        let banks = ModelBanks::apart(20_000);
        let mut seen = 0;
        for known in banks.profiles("https://localhost:1/seals/{sha256}.pem") {
            let (read, wrong) = connect::read_profiles("bank.toml", &text(&known));
            assert!(wrong.is_empty(), "{}: {wrong:?}", known.id);
            let mut read = read.into_iter().next().unwrap();
            // Only people who try a sandbox have to know its users.
            read.sandbox_users.clone_from(&known.sandbox_users);
            assert_eq!(format!("{read:#?}"), format!("{known:#?}"));
            seen += 1;
        }
        assert_eq!(seen, 6);
    }
}
