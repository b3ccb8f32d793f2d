//! What a plugin says that a bank said, checked piece by piece. One piece that
//! cannot be is the end of the whole answer, and the error names its place.

use connect::{ApiBase, BankConsentStatus, BankError, CallContext, LodgedConsent, ScaStart};
use domain::{
    Account, AccountIdentification, AccountStatus, AccountUsage, Balance, BalanceType, BookingStatus,
    CreditDebit, Currency, Date, Money, Pii, SortCodeAccount, Timestamp, Transaction, plain_decimal,
};
use url::Url;

use crate::request::refused;
use crate::wit;

mod payments;
mod resources;

/// Reads the answers of one call.
pub(crate) struct Reading<'a> {
    cx: &'a CallContext<'a>,
}

type Read<T> = Result<T, BankError>;
type ListOf<T> = (Vec<T>, Option<wit::Target>);

impl<'a> Reading<'a> {
    pub(crate) fn of(cx: &'a CallContext<'a>) -> Self {
        Self { cx }
    }

    fn refused(&self, field: &str) -> BankError {
        refused(self.cx, field)
    }

    pub(crate) fn lodged(&self, answer: wit::Answer) -> Read<LodgedConsent> {
        let wit::Answer::Lodged(lodged) = answer else { return Err(self.refused("answer")) };
        if !ApiBase::is_segment(&lodged.consent_id) {
            return Err(self.refused("lodged.consent-id"));
        }
        let sca = self.authentication(lodged.authentication, "lodged.authentication")?;
        Ok(LodgedConsent {
            bank_id: lodged.consent_id,
            sca,
            valid_until: self.day(lodged.valid_until, "lodged.valid-until")?,
            status: consent_status(lodged.status),
        })
    }

    fn authentication(&self, given: wit::Authentication, place: &str) -> Read<ScaStart> {
        Ok(match given {
            wit::Authentication::Redirect(address) => {
                // The person's browser is sent there under our name.
                let url = Url::parse(&address).ok().filter(|url| self.cx.profile.permits(url));
                ScaStart::Redirect(url.ok_or_else(|| self.refused(&format!("{place}.redirect")))?)
            }
            wit::Authentication::Oauth(oauth) => {
                ScaStart::OAuth { scope: oauth.scope, intent_id: oauth.intent_id, metadata: None }
            }
            wit::Authentication::Decoupled(message) => ScaStart::Decoupled { message: text(message) },
            wit::Authentication::NotNeeded => ScaStart::NotNeeded,
        })
    }

    pub(crate) fn status(&self, answer: wit::Answer) -> Read<BankConsentStatus> {
        let wit::Answer::Status(status) = answer else { return Err(self.refused("answer")) };
        Ok(consent_status(status))
    }

    pub(crate) fn revoked(&self, answer: &wit::Answer) -> Read<()> {
        if matches!(answer, wit::Answer::Revoked) { Ok(()) } else { Err(self.refused("answer")) }
    }

    pub(crate) fn accounts(&self, answer: wit::Answer) -> Read<ListOf<Account>> {
        let wit::Answer::Accounts(page) = answer else { return Err(self.refused("answer")) };
        let account = |(index, account)| self.account(account, &format!("accounts[{index}]"));
        let accounts = page.accounts.into_iter().enumerate().map(account).collect::<Read<_>>()?;
        Ok((accounts, page.next))
    }

    pub(crate) fn balances(&self, answer: wit::Answer) -> Read<Vec<Balance>> {
        let wit::Answer::Balances(balances) = answer else { return Err(self.refused("answer")) };
        self.each_balance(balances, "balances")
    }

    pub(crate) fn transactions(&self, answer: wit::Answer) -> Read<ListOf<Transaction>> {
        let wit::Answer::Transactions(page) = answer else { return Err(self.refused("answer")) };
        let entry = |(index, entry)| self.transaction(entry, &format!("transactions[{index}]"));
        let entries = page.transactions.into_iter().enumerate().map(entry).collect::<Read<_>>()?;
        Ok((entries, page.next))
    }

    fn account(&self, given: wit::Account, place: &str) -> Read<Account> {
        if !ApiBase::is_segment(&given.resource_id) {
            return Err(self.refused(&format!("{place}.resource-id")));
        }
        let number = |number| self.number(number, &format!("{place}.numbers"));
        Ok(Account {
            resource_id: given.resource_id,
            identifications: given.numbers.into_iter().map(number).collect::<Read<_>>()?,
            currency: given
                .currency
                .map(|code| self.currency(&code, &format!("{place}.currency")))
                .transpose()?,
            display_name: text(given.display_name).map(Pii::from),
            product: text(given.product),
            holders: texts(given.holders).into_iter().map(Pii::from).collect(),
            cash_account_type: text(given.cash_account_type),
            usage: match given.usage {
                wit::Usage::Personal => AccountUsage::Private,
                wit::Usage::Organisation => AccountUsage::Organisation,
                wit::Usage::Unknown => AccountUsage::Unknown,
            },
            status: match given.status {
                wit::AccountStatus::Enabled => AccountStatus::Enabled,
                wit::AccountStatus::Blocked => AccountStatus::Blocked,
                wit::AccountStatus::Closed => AccountStatus::Closed,
                wit::AccountStatus::Unknown => AccountStatus::Unknown,
            },
            bic: text(given.bic),
            balances: self.each_balance(given.balances, &format!("{place}.balances"))?,
        })
    }

    fn each_balance(&self, given: Vec<wit::Balance>, place: &str) -> Read<Vec<Balance>> {
        let balance = |(index, balance)| self.balance(balance, &format!("{place}[{index}]"));
        given.into_iter().enumerate().map(balance).collect()
    }

    fn balance(&self, given: wit::Balance, place: &str) -> Read<Balance> {
        let currency = self.currency(&given.currency, &format!("{place}.currency"))?;
        let (amount, direction) = self.amount(&given.amount, currency, &format!("{place}.amount"))?;
        Ok(Balance {
            kind: balance_type(given.kind),
            amount,
            direction,
            credit_line_included: given.credit_line_included,
            reference_date: self.day(given.reference_date, &format!("{place}.reference-date"))?,
            last_change_at: self.instant(given.last_change_at, &format!("{place}.last-change-at"))?,
        })
    }

    fn transaction(&self, given: wit::Transaction, place: &str) -> Read<Transaction> {
        let at = |field: &str| format!("{place}.{field}");
        let currency = self.currency(&given.currency, &at("currency"))?;
        let (amount, direction) = self.amount(&given.amount, currency, &at("amount"))?;
        let balance_after =
            given.balance_after.map(|text| self.amount(&text, currency, &at("balance-after")));
        let account = |number: Option<wit::AccountNumber>, field: &str| {
            number.map(|number| self.number(number, &at(field))).transpose()
        };
        Ok(Transaction {
            bank_transaction_id: text(given.transaction_id),
            entry_reference: text(given.entry_reference),
            end_to_end_id: text(given.end_to_end_id).map(Pii::from),
            mandate_id: text(given.mandate_id),
            status: match given.status {
                wit::BookingStatus::Booked => BookingStatus::Booked,
                wit::BookingStatus::Pending => BookingStatus::Pending,
                wit::BookingStatus::Information => BookingStatus::Information,
                wit::BookingStatus::Rejected => BookingStatus::Rejected,
            },
            amount,
            direction,
            booking_date: self.day(given.booking_date, &at("booking-date"))?,
            value_date: self.day(given.value_date, &at("value-date"))?,
            booked_at: self.instant(given.booked_at, &at("booked-at"))?,
            creditor_name: text(given.creditor_name).map(Pii::from),
            creditor_account: account(given.creditor_account, "creditor-account")?,
            debtor_name: text(given.debtor_name).map(Pii::from),
            debtor_account: account(given.debtor_account, "debtor-account")?,
            remittance: texts(given.remittance).into_iter().map(Pii::from).collect(),
            references: texts(given.references).into_iter().map(Pii::from).collect(),
            bank_transaction_code: text(given.bank_transaction_code),
            proprietary_code: text(given.proprietary_code),
            merchant_category_code: text(given.merchant_category_code),
            balance_after: balance_after.transpose()?,
        })
    }

    fn number(&self, given: wit::AccountNumber, place: &str) -> Read<AccountIdentification> {
        let required = |number: String| text(Some(number)).ok_or_else(|| self.refused(place));
        Ok(match given {
            wit::AccountNumber::Iban(iban) => {
                AccountIdentification::Iban(iban.parse().map_err(|_| self.refused(place))?)
            }
            wit::AccountNumber::SortCode(digits) => {
                let parts = digits.split_at_checked(6);
                let account = parts.and_then(|(sort, number)| SortCodeAccount::new(sort, number).ok());
                AccountIdentification::SortCode(account.ok_or_else(|| self.refused(place))?)
            }
            wit::AccountNumber::Bban(number) => AccountIdentification::Bban(required(number)?),
            // A card number in clear is never kept.
            wit::AccountNumber::MaskedPan(number) if number.chars().all(is_of_numbers) => {
                return Err(self.refused(place));
            }
            wit::AccountNumber::MaskedPan(number) => AccountIdentification::MaskedPan(required(number)?),
            wit::AccountNumber::Other(other) => AccountIdentification::Other {
                identification: required(other.number)?,
                scheme_name: required(other.scheme)?,
            },
        })
    }

    fn currency(&self, code: &str, place: &str) -> Read<Currency> {
        code.parse().map_err(|_| self.refused(place))
    }

    fn amount(&self, text: &str, currency: Currency, place: &str) -> Read<(Money, CreditDebit)> {
        let number = plain_decimal(text).ok_or_else(|| self.refused(place))?;
        let money = Money::reported(number.abs(), currency).map_err(|_| self.refused(place))?;
        Ok((money, CreditDebit::of(number)))
    }

    /// `YYYY-MM-DD` and nothing else that a day can be written as.
    fn day(&self, text: Option<String>, place: &str) -> Read<Option<Date>> {
        let Some(text) = text else { return Ok(None) };
        let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
        day.map(Some).ok_or_else(|| self.refused(place))
    }

    fn instant(&self, text: Option<String>, place: &str) -> Read<Option<Timestamp>> {
        text.map(|text| text.parse().map_err(|_| self.refused(place))).transpose()
    }
}

fn is_of_numbers(c: char) -> bool {
    c.is_ascii_digit() || c == ' ' || c == '-'
}

/// A text; an empty or blank one is absent.
fn text(given: Option<String>) -> Option<String> {
    given.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn texts(given: Vec<String>) -> Vec<String> {
    given.into_iter().filter_map(|one| text(Some(one))).collect()
}

fn consent_status(status: wit::ConsentStatus) -> BankConsentStatus {
    match status {
        wit::ConsentStatus::AwaitingAuthorisation => BankConsentStatus::AwaitingAuthorisation,
        wit::ConsentStatus::PartiallyAuthorised => BankConsentStatus::PartiallyAuthorised,
        wit::ConsentStatus::Authorised => BankConsentStatus::Authorised,
        wit::ConsentStatus::Rejected => BankConsentStatus::Rejected,
        wit::ConsentStatus::RevokedByPsu => BankConsentStatus::RevokedByPsu,
        wit::ConsentStatus::Terminated => BankConsentStatus::TerminatedByTpp,
        wit::ConsentStatus::Expired => BankConsentStatus::Expired,
    }
}

fn balance_type(kind: wit::BalanceType) -> BalanceType {
    match kind {
        wit::BalanceType::ClosingBooked => BalanceType::ClosingBooked,
        wit::BalanceType::ClosingAvailable => BalanceType::ClosingAvailable,
        wit::BalanceType::InterimBooked => BalanceType::InterimBooked,
        wit::BalanceType::InterimAvailable => BalanceType::InterimAvailable,
        wit::BalanceType::OpeningBooked => BalanceType::OpeningBooked,
        wit::BalanceType::OpeningAvailable => BalanceType::OpeningAvailable,
        wit::BalanceType::Expected => BalanceType::Expected,
        wit::BalanceType::ForwardAvailable => BalanceType::ForwardAvailable,
        wit::BalanceType::PreviouslyClosedBooked => BalanceType::PreviouslyClosedBooked,
        wit::BalanceType::Information => BalanceType::Information,
        wit::BalanceType::Other => BalanceType::Other,
    }
}

#[cfg(test)]
mod tests;
