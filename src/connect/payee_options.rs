//! How payees are verified at one bank, and how its accounts are known.

use url::Url;

use crate::{ApiBase, BankError, Profile};

/// How payees are verified at one bank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayeeOptions {
    /// What stands before `/payee-verifications` (EPC: `https://vop.bank.example/vop/v1`) or
    /// `/name-verification` (UK); none where the bank is not asked.
    pub address: Option<Url>,
    /// BIC by which the bank knows who asks (EPC `requestingAgent`), 8 or 11 characters.
    pub requesting_bic: Option<String>,
}

impl PayeeOptions {
    /// What an operator gives goes before what the profile says.
    #[must_use]
    pub fn deployed(self, given: Self) -> Self {
        Self {
            address: given.address.or(self.address),
            requesting_bic: given.requesting_bic.or(self.requesting_bic),
        }
    }
}

impl Profile {
    /// Where payees are verified. Neither standard has two versions in use.
    ///
    /// # Errors
    ///
    /// `profile-error` if the bank has no such place.
    pub fn payees_api(&self) -> Result<ApiBase, BankError> {
        let address = self.payees.address.clone();
        let url = address.ok_or_else(|| BankError::profile(&self.id, "payee_verification.address"))?;
        Ok(ApiBase { url, version: String::new() })
    }

    /// How many characters of an account's national number are known to be this bank's; the
    /// more, the surer. `None` if it is not known to hold the account.
    #[must_use]
    pub fn holds(&self, account: &domain::AccountIdentification) -> Option<usize> {
        let (country, number) = account.national_number()?;
        if !self.countries.contains(&country) {
            return None;
        }
        self.bank_codes.iter().filter(|code| number.starts_with(code.as_str())).map(String::len).max()
    }
}

#[cfg(test)]
mod tests {
    use domain::AccountIdentification;

    use super::*;

    #[test]
    fn a_bank_holds_the_accounts_of_its_country_that_begin_with_its_codes() {
        let mut bank =
            Profile::blank("de-one".parse().unwrap(), "One", "eu".parse().unwrap(), "berlin-group");
        bank.countries = vec!["DE".parse().unwrap()];
        bank.bank_codes = vec!["3704".into(), "37040044".into()];
        let iban = |text: &str| AccountIdentification::Iban(text.parse().unwrap());
        assert_eq!(bank.holds(&iban("DE89370400440532013000")), Some(8));
        assert_eq!(bank.holds(&iban("DE02120300000000202051")), None);
        assert_eq!(bank.holds(&iban("GB29NWBK60161331926819")), None);
    }
}
