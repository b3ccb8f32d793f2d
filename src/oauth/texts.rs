//! What the pages say: one catalogue per language (`texts/*.toml`), compiled in.

mod format;

use std::fmt;
use std::sync::LazyLock;

use domain::{ConsentStatus, Permission, ReadKind, Region};
use serde::Deserialize;

use crate::locale::Locale;

/// A text of a catalogue, with `{placeholders}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text(String);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text {
    /// The text with its one placeholder filled.
    pub(crate) fn with(&self, name: &str, value: impl fmt::Display) -> String {
        self.fill(&[(name, &value)])
    }

    /// The text with its placeholders filled. What is filled in is not looked
    /// at again: a value may hold braces.
    pub(crate) fn fill(&self, values: &[(&str, &dyn fmt::Display)]) -> String {
        let mut filled = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some((before, placeholder, after)) = next_placeholder(rest) {
            filled.push_str(before);
            if let Some((_, value)) = values.iter().find(|(name, _)| *name == placeholder) {
                filled.push_str(&value.to_string());
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// What comes before the next placeholder, its name, and what comes after it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// Sections of texts. Each key must be in each catalogue, and no other.
macro_rules! sections {
    ($($(#[doc = $doc:literal])* $section:ident $name:ident { $($key:ident)+ })+) => {
        /// One language.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Texts {
            $($(#[doc = $doc])* pub(crate) $section: $name,)+
            pub(crate) format: format::Format,
        }

        $(
            $(#[doc = $doc])*
            #[derive(Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(crate) struct $name { $(pub(crate) $key: Text,)+ }
        )+

        #[cfg(test)]
        impl Texts {
            fn all(&self) -> Vec<(String, &Text)> {
                vec![$($((format!("{}.{}", stringify!($section), stringify!($key)), &self.$section.$key),)+)+]
            }
        }
    };
}

sections! {
    /// On several pages.
    page PageTexts {
        brand about website privacy terms access next_at_bank next_here approve decline user_name leave
    }
    /// About the time that is left.
    time TimeTexts { left soon more then }
    /// On the consent page.
    consent ConsentTexts {
        asks_accounts asks_funds asks_connection asks_approval connection_only may_read may_ask funds
        only_yes_or_no tell_bank how_often repeatedly once since until until_day stays_in choose_bank
        search_label search no_match banks choose
    }
    /// On the payment page.
    payment PaymentTexts {
        title label amount to account purpose from your_account asked_by when series series_until daily weekly
        two_weekly monthly two_monthly quarterly half_yearly yearly charges charges_debtor charges_creditor
        charges_shared charges_system title_many cancel_title cancel_title_many total each payee_close
        payee_other payee_unverified
    }
    /// On the pages of a bank that asks through us.
    sca ScaTexts {
        log_in choose confirm password second_password not_kept methods code digits characters picture data go_on
        wrong_name wrong_password wrong_method wrong_code sms chip photo push mail other
    }
    /// Of `authorization_details` that are no account access.
    detail DetailTexts {
        pay recurring starting until_withdrawn per_day per_week per_fortnight per_month per_half_year per_year
        payments_in_all
    }
    /// On the waiting pages.
    wait WaitTexts { title asks asks_unnamed confirmed }
    /// On the page that takes a bank's answer out of the address.
    hand_over HandOverTexts { title text }
    /// On error pages.
    error ErrorTexts {
        title code back go_on over taken other_browser link request_uri unknown_client choose_bank
        choose_button form gone bank_silent bank_refused bank_unsupported consent_over payment_over
        callback_mismatch callback_spent ours
    }
    /// On the page of who has access.
    access AccessTexts {
        title scope nothing now waiting ended at bank_open client_gone status may_read since until was_read
        never_read read withdraw withdraw_note withdrawn forget forget_note forgotten
    }
    /// What may be read.
    permission PermissionTexts {
        accounts_basic accounts_detail balances transactions_basic transactions_detail
        party beneficiaries standing_orders direct_debits scheduled statements
    }
    /// Where a consent stands.
    status StatusTexts {
        created awaiting_redirect awaiting_decoupled partially_authorized authorized suspended rejected
        revoked_by_psu revoked_by_client revoked_by_institution expired failed
    }
    /// What was read.
    read ReadTexts {
        accounts balances transactions
        parties beneficiaries standing_orders direct_debits scheduled_payments statements funds
    }
    /// Where data stays.
    region RegionTexts { uk eu }
}

struct Catalogues {
    en: Texts,
    de: Texts,
    fr: Texts,
    es: Texts,
    it: Texts,
    pl: Texts,
}

static CATALOGUES: LazyLock<Catalogues> = LazyLock::new(|| Catalogues {
    en: read(include_str!("texts/en.toml")),
    de: read(include_str!("texts/de.toml")),
    fr: read(include_str!("texts/fr.toml")),
    es: read(include_str!("texts/es.toml")),
    it: read(include_str!("texts/it.toml")),
    pl: read(include_str!("texts/pl.toml")),
});

#[expect(clippy::expect_used, reason = "part of the binary: the tests read every catalogue")]
fn read(catalogue: &str) -> Texts {
    toml::from_str(catalogue).expect("a catalogue has every text and no other")
}

impl Texts {
    /// The texts of a language.
    pub(crate) fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::En => &CATALOGUES.en,
            Locale::De => &CATALOGUES.de,
            Locale::Fr => &CATALOGUES.fr,
            Locale::Es => &CATALOGUES.es,
            Locale::It => &CATALOGUES.it,
            Locale::Pl => &CATALOGUES.pl,
        }
    }

    /// What a permission lets read.
    pub(crate) fn permission(&self, permission: Permission) -> &Text {
        let texts = &self.permission;
        match permission {
            Permission::ReadAccountsBasic => &texts.accounts_basic,
            Permission::ReadAccountsDetail => &texts.accounts_detail,
            Permission::ReadBalances => &texts.balances,
            Permission::ReadTransactionsBasic => &texts.transactions_basic,
            Permission::ReadTransactionsDetail => &texts.transactions_detail,
            Permission::ReadParty => &texts.party,
            Permission::ReadBeneficiaries => &texts.beneficiaries,
            Permission::ReadStandingOrders => &texts.standing_orders,
            Permission::ReadDirectDebits => &texts.direct_debits,
            Permission::ReadScheduled => &texts.scheduled,
            Permission::ReadStatements => &texts.statements,
        }
    }

    /// Where a consent stands.
    pub(crate) fn status(&self, status: ConsentStatus) -> &Text {
        let texts = &self.status;
        match status {
            ConsentStatus::Created => &texts.created,
            ConsentStatus::AwaitingRedirect => &texts.awaiting_redirect,
            ConsentStatus::AwaitingDecoupled => &texts.awaiting_decoupled,
            ConsentStatus::PartiallyAuthorized => &texts.partially_authorized,
            ConsentStatus::Authorized => &texts.authorized,
            ConsentStatus::Suspended => &texts.suspended,
            ConsentStatus::Rejected => &texts.rejected,
            ConsentStatus::RevokedByPsu => &texts.revoked_by_psu,
            ConsentStatus::RevokedByClient => &texts.revoked_by_client,
            ConsentStatus::RevokedByInstitution => &texts.revoked_by_institution,
            ConsentStatus::Expired => &texts.expired,
            ConsentStatus::Failed => &texts.failed,
        }
    }

    /// What was read.
    pub(crate) fn read(&self, kind: ReadKind) -> &Text {
        match kind {
            ReadKind::Accounts => &self.read.accounts,
            ReadKind::Balances => &self.read.balances,
            ReadKind::Transactions => &self.read.transactions,
            ReadKind::Parties => &self.read.parties,
            ReadKind::Beneficiaries => &self.read.beneficiaries,
            ReadKind::StandingOrders => &self.read.standing_orders,
            ReadKind::DirectDebits => &self.read.direct_debits,
            ReadKind::ScheduledPayments => &self.read.scheduled_payments,
            ReadKind::Statements => &self.read.statements,
            ReadKind::Funds => &self.read.funds,
        }
    }

    /// A region in words for people; one that an operator added goes by its name.
    pub(crate) fn region(&self, region: Region) -> String {
        match region.as_str() {
            "uk" => self.region.uk.to_string(),
            "eu" => self.region.eu.to_string(),
            other => other.to_uppercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(text: &Text) -> BTreeSet<&str> {
        let (mut names, mut rest) = (BTreeSet::new(), text.0.as_str());
        while let Some((_, name, after)) = next_placeholder(rest) {
            names.insert(name);
            rest = after;
        }
        names
    }

    /// Missing and unknown keys do not parse at all.
    #[test]
    fn every_catalogue_has_every_text_with_the_same_placeholders() {
        let english = Texts::of(Locale::En).all();
        for locale in Locale::ALL {
            for ((name, text), (_, original)) in Texts::of(locale).all().into_iter().zip(&english) {
                assert!(!text.0.trim().is_empty(), "{name} in {}", locale.tag());
                assert_eq!(placeholders(text), placeholders(original), "{name} in {}", locale.tag());
            }
        }
    }

    #[test]
    fn no_catalogue_has_a_sentence_in_english() {
        let english = Texts::of(Locale::En).all();
        for locale in Locale::ALL.into_iter().filter(|locale| *locale != Locale::En) {
            for ((name, text), (_, original)) in Texts::of(locale).all().into_iter().zip(&english) {
                let sentence = original.0.split(' ').filter(|word| !word.starts_with('{')).count() > 1;
                assert!(!sentence || text != *original, "{name} in {}", locale.tag());
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let text = Text("{client} and {bank}".to_owned());
        let values: [(&str, &dyn fmt::Display); 2] = [("client", &"{bank} {"), ("bank", &"B")];
        assert_eq!(text.fill(&values), "{bank} { and B");
        assert_eq!(Text("100 % of {x".to_owned()).with("x", 1), "100 % of {x");
    }
}
