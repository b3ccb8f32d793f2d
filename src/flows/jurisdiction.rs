//! The rules of consents by country: data in `policies/consent`, not code.

use std::collections::BTreeMap;

use domain::{ConsentKind, ConsentStatus, Country, ExpirySource, Timestamp};
use jiff::ToSpan;
use serde::Deserialize;
use store::consents::ConsentRow;

use crate::Gateway;
use crate::consents::{DAY, date_of, end_of};
use crate::webhooks::later;

const EMBEDDED: &str = include_str!("../../policies/consent/jurisdictions.toml");

/// The rules of one country.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRules {
    /// Where the numbers come from.
    pub basis: String,
    /// Longest life of a consent, whatever is asked for.
    pub max_consent_days: u16,
    /// Days after which the PSU must authenticate at the bank again; none where
    /// the first authentication holds.
    pub sca_days: Option<u16>,
    /// Days after which the TPP must confirm that the PSU wants to go on.
    pub reconfirm_days: Option<u16>,
    /// Calls a day without the PSU, of all kinds together, under one consent.
    pub unattended_calls_per_day: u8,
    /// Days of transactions that are given without the PSU.
    pub history_days_without_sca: u16,
    /// Days before the end, and before reconfirmation is due, at which the TPP
    /// is told.
    pub notice_days: u16,
}

impl ConsentRules {
    /// Longest life of a consent: it ends when the PSU must authenticate again.
    #[must_use]
    pub fn longest(&self) -> u16 {
        self.sca_days.map_or(self.max_consent_days, |days| days.min(self.max_consent_days))
    }

    fn problem(&self) -> Option<&'static str> {
        if self.basis.trim().is_empty() {
            return Some("basis is empty");
        }
        let days = [
            Some(self.max_consent_days),
            self.sca_days,
            self.reconfirm_days,
            Some(self.history_days_without_sca),
            Some(self.notice_days),
        ];
        if days.into_iter().flatten().any(|days| days == 0 || days > 3_650) {
            return Some("a number of days is 1 to 3650");
        }
        if self.unattended_calls_per_day == 0 {
            return Some("unattended_calls_per_day is at least 1");
        }
        let shortest = self.reconfirm_days.map_or(self.longest(), |days| days.min(self.longest()));
        (self.notice_days >= shortest).then_some("notice_days is shorter than what it announces")
    }
}

/// The rules of every country.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jurisdictions {
    default: ConsentRules,
    countries: BTreeMap<Country, ConsentRules>,
}

/// The text of the rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// It is not TOML of this shape.
    #[error("the rules of consents cannot be read: {0}")]
    Unreadable(String),
    /// A value makes no sense.
    #[error("the rules of {0}: {1}")]
    Wrong(String, &'static str),
}

impl Jurisdictions {
    /// The rules that come with the gateway.
    ///
    /// # Errors
    ///
    /// [`InvalidRules`] if they were spoiled; a test holds that they are not.
    pub fn embedded() -> Result<Self, InvalidRules> {
        Self::parse(EMBEDDED)
    }

    /// Reads rules.
    ///
    /// # Errors
    ///
    /// [`InvalidRules`] says what is wrong; an unknown key is.
    pub fn parse(text: &str) -> Result<Self, InvalidRules> {
        let read: Self =
            toml::from_str(text).map_err(|error| InvalidRules::Unreadable(error.message().to_owned()))?;
        let countries = read.countries.iter().map(|(country, rules)| (country.to_string(), rules));
        for (name, rules) in countries.chain([("default".to_owned(), &read.default)]) {
            if let Some(problem) = rules.problem() {
                return Err(InvalidRules::Wrong(name, problem));
            }
        }
        Ok(read)
    }

    /// The rules of a country; where an institution names none, the default's.
    #[must_use]
    pub fn of(&self, country: Option<Country>) -> &ConsentRules {
        country.and_then(|country| self.countries.get(&country)).unwrap_or(&self.default)
    }
}

impl Gateway {
    /// The rules that a consent stands under.
    #[must_use]
    pub fn rules_of(&self, consent: &ConsentRow) -> &ConsentRules {
        let profile = consent.institution.as_ref().and_then(|id| self.parts.registry.profile(id));
        self.parts.jurisdictions.of(profile.and_then(|profile| profile.countries.first().copied()))
    }

    /// Shortens a consent to what its country and its bank allow, and says whose
    /// word its end is. The rules are about account information: a consent to
    /// confirmation of funds lasts as long as it was given for.
    pub(crate) fn cap(&self, consent: &mut ConsentRow) {
        if consent.terms.kind() != ConsentKind::AccountInformation {
            consent.expires_at = end_of(consent.terms.valid_until);
            return;
        }
        let rules = self.rules_of(consent);
        let profile = consent.institution.as_ref().and_then(|id| self.parts.registry.profile(id));
        let created = date_of(consent.created_at);
        let mut shorten = |days: u16, source: ExpirySource| {
            let latest = created.saturating_add(i64::from(days).days());
            if consent.terms.valid_until > latest {
                consent.terms.valid_until = latest;
                consent.life.expires_at_source = source;
            }
        };
        shorten(rules.longest(), ExpirySource::RuleCapped);
        if let Some(days) = profile.and_then(|profile| profile.max_consent_days) {
            shorten(days, ExpirySource::BankCapped);
        }
        consent.expires_at = end_of(consent.terms.valid_until);
        let most = rules.unattended_calls_per_day;
        consent.terms.frequency_per_day = if consent.terms.recurring { most } else { 1 };
    }

    /// Plans what follows from a step: when the TPP is told, when it must have
    /// confirmed, when the bank is asked.
    pub(crate) fn plan(&self, was: ConsentStatus, consent: &mut ConsentRow) {
        let now = self.now();
        let life = &mut consent.life;
        match consent.status {
            ConsentStatus::PartiallyAuthorized => life.ask_bank_at = Some(later(now, OTHERS_EVERY)),
            ConsentStatus::Authorized if was == ConsentStatus::Suspended => life.suspended_for = None,
            ConsentStatus::Authorized => {
                consent.terms.authorized_at = Some(now);
                // A bank that has it from the PSU alone cannot be asked.
                let at_bank = consent.bank.consent_id.is_some();
                consent.life.ask_bank_at = at_bank.then(|| later(now, DAY));
                self.plan_notices(consent);
            }
            ConsentStatus::Created
            | ConsentStatus::AwaitingRedirect
            | ConsentStatus::AwaitingDecoupled
            | ConsentStatus::Suspended => {}
            ConsentStatus::Rejected
            | ConsentStatus::RevokedByPsu
            | ConsentStatus::RevokedByClient
            | ConsentStatus::RevokedByInstitution
            | ConsentStatus::Expired
            | ConsentStatus::Failed => {
                life.suspended_for = None;
                // What opens the bank is of no use any more.
                consent.bank.access_token = None;
                consent.bank.refresh_token = None;
            }
        }
    }

    fn plan_notices(&self, consent: &mut ConsentRow) {
        let now = self.now();
        let rules = self.rules_of(consent);
        let notice = DAY.saturating_mul(i64::from(rules.notice_days));
        let ahead = |end: Timestamp| Some(later(end, notice.saturating_neg())).filter(|at| *at > now);
        consent.life.expiring_at = consent.expires_at.and_then(ahead);
        self.plan_reconfirmation(consent);
    }

    /// Days after which the TPP must confirm a consent, where it has to.
    pub(crate) fn reconfirm_days(&self, consent: &ConsentRow) -> Option<u16> {
        let reads = consent.terms.kind() == ConsentKind::AccountInformation;
        self.rules_of(consent).reconfirm_days.filter(|_| reads)
    }

    /// Plans the next reconfirmation, a full period from now.
    pub(crate) fn plan_reconfirmation(&self, consent: &mut ConsentRow) {
        let now = self.now();
        let rules = self.rules_of(consent);
        let due = self.reconfirm_days(consent).map(|days| later(now, DAY.saturating_mul(i64::from(days))));
        // A consent that ends before needs none.
        let due = due.filter(|due| consent.expires_at.is_none_or(|end| *due < end));
        let notice = DAY.saturating_mul(i64::from(rules.notice_days));
        consent.life.reconfirm_by = due;
        consent.life.reconfirm_due_at = due.map(|due| later(due, notice.saturating_neg()));
    }
}

/// Seconds between questions to a bank that waits for further PSUs.
pub(crate) const OTHERS_EVERY: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(line: &str, instead: &str) -> Result<Jurisdictions, InvalidRules> {
        assert!(EMBEDDED.contains(line), "{line}");
        Jurisdictions::parse(&EMBEDDED.replace(line, instead))
    }

    /// RTS (EU) 2018/389 art. 10, 10a, 36(5)(b); UK-RTS art. 10A.
    #[test]
    fn the_rules_that_come_with_the_gateway_are_those_of_the_law() {
        let rules = Jurisdictions::embedded().unwrap();
        let of = |country: &str| rules.of(Some(country.parse().unwrap()));
        for country in ["DE", "FR", "NO", "CH"] {
            let eu = of(country);
            assert_eq!((eu.longest(), eu.sca_days, eu.reconfirm_days), (180, Some(180), None), "{country}");
        }
        assert_eq!((of("GB").sca_days, of("GB").reconfirm_days), (None, Some(90)));
        for rules in [of("GB"), rules.of(None)] {
            assert_eq!((rules.unattended_calls_per_day, rules.history_days_without_sca), (4, 90));
        }
    }

    #[test]
    fn a_key_that_nobody_reads_is_refused_and_so_is_a_number_that_makes_no_sense() {
        for instead in
            ["max_consent_dayz = 180", "max_consent_days = 180\nmax_days = 3", "max_consent_days = \"180\""]
        {
            assert!(
                matches!(with("max_consent_days = 180", instead), Err(InvalidRules::Unreadable(_))),
                "{instead}"
            );
        }
        for (line, instead) in [
            ("max_consent_days = 180", "max_consent_days = 0"),
            ("unattended_calls_per_day = 4", "unattended_calls_per_day = 0"),
            ("notice_days = 14", "notice_days = 90"),
            ("reconfirm_days = 90", "reconfirm_days = 4000"),
        ] {
            assert!(matches!(with(line, instead), Err(InvalidRules::Wrong(..))), "{instead}");
        }
        assert!(matches!(with("[countries.GB]", "[countries.GBR]"), Err(InvalidRules::Unreadable(_))));
    }

    #[test]
    fn a_consent_lasts_no_longer_than_its_authentication() {
        let rules = with("sca_days = 180", "sca_days = 90").unwrap();
        assert_eq!(rules.of(None).longest(), 90);
    }
}
