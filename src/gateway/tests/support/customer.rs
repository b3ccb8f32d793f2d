//! A customer who goes to their bank without us.

use consentry::demo::Client;

use super::TestGateway;

/// A customer at the pages of a model bank.
pub struct Customer {
    http: Client,
    pages: String,
    user: &'static str,
}

impl Customer {
    pub fn of(gw: &TestGateway, bank: &str, user: &'static str) -> Self {
        Self { http: gw.anybody(), pages: gw.sandbox.bank_pages(bank).unwrap(), user }
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.http.post_form(&format!("{}{path}", self.pages), form).await.unwrap();
        String::from_utf8_lossy(&answer.expect(200).unwrap().body).into_owned()
    }

    async fn log_in(&self, about: &str) -> String {
        self.post("/login", &[("about", about), ("user", self.user), ("password", "sandbox")]).await
    }

    /// Takes back the only consent that is shown.
    pub async fn withdraw(&self) {
        let page = self.log_in("consents").await;
        let form = [("ticket", hidden(&page, "ticket")), ("consent", hidden(&page, "consent"))];
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert!(self.post("/withdraw", &form).await.contains("You share nothing"));
    }

    /// Decides the only thing that waits in the app.
    pub async fn decide(&self, decision: &str, account: &str) {
        let page = self.log_in("").await;
        let (ticket, about) = (hidden(&page, "ticket"), hidden(&page, "about"));
        let form = [
            ("ticket", ticket.as_str()),
            ("about", about.as_str()),
            ("decision", decision),
            ("account", account),
        ];
        self.post("/decide", &form).await;
    }
}

fn hidden(page: &str, name: &str) -> String {
    let start = page.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("{name} is on the page"));
    let value = page[start..].split("value=\"").nth(1).unwrap();
    value.split('"').next().unwrap().to_owned()
}
