//! What a fintech does with persons of every region, through every cell; and what it gets to
//! know of them, which is what is looked for.

use std::time::Duration;

use consentry::demo::{Answer, Browser, Client, RETURN, Tpp, bearer, verifier};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::search::Canaries;

/// A bank of each region, with its currency and an account there that is paid.
pub const BANKS: [(&str, &str, &str, &str); 3] = [
    ("uk", "gb-albion-bank", "GBP", ""),
    ("eu", "de-rheinbank", "EUR", "DE42999100002000000018"),
    ("pl", "pl-bank-wisla", "PLN", "PL06999010060000000000020018"),
];

/// The fintech.
pub struct Fintech {
    pub tpp: Tpp,
    /// The APIs of the cells.
    pub apis: Vec<String>,
    pub people: Client,
    pub canaries: Canaries,
    own: SecretString,
    token: SecretString,
}

impl Fintech {
    /// Has a consent of a person at a bank of each region, in one grant; each is lodged at
    /// another cell than its home.
    pub async fn begin(tpp: Tpp, apis: Vec<String>, people: Client) -> anyhow::Result<Self> {
        let own = tpp.own_token("accounts payments").await?;
        let (mut grant, mut token) = (None::<String>, SecretString::from(String::new()));
        for (at, (_, bank, ..)) in BANKS.iter().enumerate() {
            let mut elsewhere = tpp.clone();
            elsewhere.api.clone_from(apis.get((at + 1) % apis.len()).unwrap_or(&tpp.api));
            let consent = elsewhere.lodge(&own, &[bank]).await?.remove(0);
            let (verifier, earlier) = (verifier(), grant.clone());
            let mut more =
                vec![("grant_management_action", if grant.is_some() { "merge" } else { "create" })];
            more.extend(earlier.as_deref().map(|id| ("grant_id", id)));
            let pushed = tpp.push_with(&[consent], &verifier, &more).await?.expect(201)?;
            let mut person = Browser::new(people.clone(), "anna", "sandbox");
            let visit = person.walk(&tpp.start_of(&pushed)?, RETURN).await?;
            let code = visit.url.query_pairs().find(|(name, _)| name == "code");
            let code = code.map(|(_, code)| code.into_owned()).unwrap_or_default();
            let answer = tpp.redeem(&code, &verifier).await?.expect(200)?;
            grant.get_or_insert(answer.text("/grant_id"));
            token = answer.text("/access_token").into();
        }
        Ok(Self { tpp, apis, people, canaries: Canaries::default(), own, token })
    }

    /// Everything once, through every cell. What is down answers with errors, which are a part
    /// of it.
    pub async fn round(&mut self, number: u32) -> anyhow::Result<()> {
        for api in self.apis.clone() {
            self.tpp.api = api;
            self.read().await;
            for (region, bank, currency, iban) in BANKS {
                self.pay(number, region, bank, currency, iban).await?;
                self.err(region, bank).await;
            }
        }
        Ok(())
    }

    async fn read(&mut self) {
        let mut accounts = Vec::new();
        for path in ["/v1/accounts", "/v1/balances"] {
            if let Ok(answer) = self.tpp.get(&self.token, path).await {
                let rows = list(&answer);
                accounts.extend(rows.iter().filter_map(|row| Some(row.get("id")?.as_str()?.to_owned())));
                self.learn(&answer);
            }
        }
        for account in accounts {
            // What is said of the person who is there belongs to their region, too.
            let region = account.split('_').nth(1).unwrap_or_default();
            let browser = format!("Marked-browser-of-{region}");
            self.canaries.add(region, &browser);
            let bearer = bearer(&self.token);
            let headers = [
                ("authorization", bearer.as_str()),
                ("psu-ip-address", "192.0.2.10"),
                ("psu-user-agent", browser.as_str()),
            ];
            let url = format!("{}/v1/accounts/{account}/balances", self.tpp.api);
            let _ = self.tpp.http.get(&url, &headers).await;
            for what in ["", "/balances", "/transactions", "/parties", "/standing-orders"] {
                if let Ok(answer) = self.tpp.get(&self.token, &format!("/v1/accounts/{account}{what}")).await
                {
                    self.learn(&answer);
                }
            }
        }
        let mut next = String::new();
        while let Ok(answer) = self.tpp.get(&self.token, &format!("/v1/transactions?limit=50{next}")).await {
            self.learn(&answer);
            match answer.text("/page/next_cursor").as_str() {
                "" => break,
                cursor => next = format!("&cursor={cursor}"),
            }
        }
        for path in ["/v1/consents", "/v1/payments"] {
            let _ = self.tpp.get(&self.own, path).await;
        }
    }

    async fn pay(
        &mut self,
        number: u32,
        region: &'static str,
        bank: &str,
        currency: &str,
        iban: &str,
    ) -> anyhow::Result<()> {
        let mark = format!("Marked{region}Payee{number:04}");
        let text = format!("Marked {region} remittance {number:04}");
        let account = if iban.is_empty() {
            json!({ "sort_code_account_number": { "sort_code": "990011", "account_number": "20000018" } })
        } else {
            json!({ "iban": iban })
        };
        let order = json!({
            "institution_id": bank,
            "amount": { "amount": "12.34", "currency": currency },
            "creditor": { "name": mark },
            "creditor_account": account,
            "remittance": { "unstructured": [text] },
            "client_reference": format!("Marked-{region}-reference-{number:04}"),
            "redirect_uri": RETURN,
        });
        for text in [mark, text, format!("Marked-{region}-reference-{number:04}")] {
            self.canaries.add(region, &text);
        }
        let Ok(ordered) = self.tpp.post(&self.own, "/v1/payments", &order).await else { return Ok(()) };
        if ordered.status != 201 {
            return Ok(());
        }
        let mut person = Browser::new(self.people.clone(), "anna", "sandbox");
        let href = ordered.text("/authorization/href");
        let walk = person.walk(&href, RETURN);
        let _ = tokio::time::timeout(Duration::from_secs(20), walk).await;
        let shown = self.tpp.get(&self.own, &format!("/v1/payments/{}", ordered.text("/id"))).await;
        if let Ok(shown) = shown {
            self.learn(&shown);
        }
        Ok(())
    }

    /// What goes wrong, with marks in it: what is no JSON, no order, or too much.
    async fn err(&mut self, region: &'static str, bank: &str) {
        let mark = format!("Marked{region}Mistake");
        self.canaries.add(region, &mark);
        for body in [
            json!({ "institution_id": bank, "creditor": { "name": mark } }),
            json!({ "institution_id": bank, "creditor": { "name": mark.repeat(40) }, mark.clone(): 1 }),
            Value::String(mark.clone()),
        ] {
            let _ = self.tpp.post(&self.own, "/v1/payments", &body).await;
        }
        let _ = self.tpp.post_xml(&self.own, "/v1/payments", "key", &format!("<{mark}")).await;
        // A pushed order names its payee in authorization_details.
        let details = json!([{ "type": "payment_initiation", "institution_id": bank, "creditorName": mark }]);
        let details = details.to_string();
        let form = [("response_type", "code"), ("authorization_details", details.as_str())];
        let _ = self.tpp.authenticated("pushed_authorization_request_endpoint", &form).await;
    }

    /// Notes what says something of a person.
    fn learn(&mut self, answer: &Answer) {
        fn texts(value: &Value, name: &str, region: &str, canaries: &mut Canaries) {
            const PERSONAL: [&str; 7] =
                ["iban", "account_number", "name", "unstructured", "remittance", "display_name", "reference"];
            match value {
                Value::Object(members) => {
                    members.iter().for_each(|(name, value)| texts(value, name, region, canaries))
                }
                Value::Array(items) => items.iter().for_each(|item| texts(item, name, region, canaries)),
                Value::String(text) if PERSONAL.contains(&name) => canaries.add(region, text),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let rows = list(answer);
        let rows = if rows.is_empty() { vec![answer.json()] } else { rows };
        for row in &rows {
            let text = |name: &str| row.get(name).and_then(Value::as_str);
            let id = text("id").or_else(|| text("account_id")).unwrap_or_default();
            if let Some(region) = id.split('_').nth(1) {
                texts(row, "", region, &mut self.canaries);
            }
        }
    }
}

/// The entries of a list.
fn list(answer: &Answer) -> Vec<Value> {
    answer.json().get("data").and_then(Value::as_array).cloned().unwrap_or_default()
}
