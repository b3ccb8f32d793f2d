//! An entry of a bank's answer, read through the rules of the bank's profile.

use connect::{BankError, EntryRules, MapTarget, Profile, RuleBudget};
use domain::{BookingStatus, CreditDebit};

use crate::node::Node;
use crate::tree::Tree;

/// The rules of a profile over one answer.
pub(crate) struct Rules<'p> {
    profile: &'p Profile,
    budget: RuleBudget,
}

impl<'p> Rules<'p> {
    pub(crate) fn of(profile: &'p Profile) -> Self {
        Self { profile, budget: RuleBudget::default() }
    }

    pub(crate) fn profile(&self) -> &'p Profile {
        self.profile
    }
}

/// One entry. A field that has a rule is what the rule makes of it; any other is
/// read where the standard has it. Both pass the same checks.
pub(crate) struct Mapped<'e> {
    node: &'e Node<'e>,
    rules: Option<EntryRules<'e>>,
}

impl<'e> Mapped<'e> {
    /// # Errors
    ///
    /// `profile-error` if the entry is larger than the profile's rules may see.
    pub(crate) fn new(
        rules: &'e Rules<'_>,
        target: MapTarget,
        node: &'e Node<'e>,
    ) -> Result<Self, BankError> {
        let Rules { profile, budget } = rules;
        let rules = profile.mapping.entry(target, || node.raw(), budget).map_err(|failed| {
            BankError::profile(&profile.id, format!("map.{} ({failed})", target.as_str()))
        })?;
        Ok(Self { node, rules })
    }

    /// What the field's rule gives, read by `read`; `None` without a rule.
    pub(crate) fn ruled<T>(
        &self,
        field: &str,
        standard: &Node<'_>,
        read: impl FnOnce(&Node<'_>) -> Result<T, BankError>,
    ) -> Result<Option<T>, BankError> {
        let Some(rules) = &self.rules else { return Ok(None) };
        let Some(given) = rules.read(field, || standard.raw()) else { return Ok(None) };
        let key = rules.key(field);
        let value = given.map_err(|failed| self.node.profile_error(format!("{key} ({failed})")))?;
        read(&self.node.ruled(&Tree::from(value), &key)).map(Some)
    }

    /// The field by its rule, or where the standard has it.
    pub(crate) fn read<T>(
        &self,
        field: &str,
        standard: Node<'_>,
        read: impl Fn(&Node<'_>) -> Result<T, BankError>,
    ) -> Result<T, BankError> {
        self.read_or(field, &standard, &read, || read(&standard))
    }

    /// The field by its rule, or as `otherwise` finds it.
    pub(crate) fn read_or<T>(
        &self,
        field: &str,
        standard: &Node<'_>,
        read: impl FnOnce(&Node<'_>) -> Result<T, BankError>,
        otherwise: impl FnOnce() -> Result<T, BankError>,
    ) -> Result<T, BankError> {
        match self.ruled(field, standard, read)? {
            Some(value) => Ok(value),
            None => otherwise(),
        }
    }

    /// A text by its rule, or where the standard has it.
    pub(crate) fn text(&self, field: &str, standard: Node<'_>) -> Result<Option<String>, BankError> {
        self.read(field, standard, |node| node.text())
    }
}

/// `CRDT` or `DBIT`, in the words of our API and of UK Open Banking 3.1.
pub(crate) fn direction(node: &Node<'_>) -> Result<CreditDebit, BankError> {
    match &*node.required_word()? {
        "Credit" | "CRDT" => Ok(CreditDebit::Credit),
        "Debit" | "DBIT" => Ok(CreditDebit::Debit),
        _ => Err(node.malformed()),
    }
}

/// A booking status, the same.
pub(crate) fn booking_status(node: &Node<'_>) -> Result<BookingStatus, BankError> {
    match &*node.required_word()? {
        "Booked" | "BOOK" => Ok(BookingStatus::Booked),
        "Pending" | "PDNG" => Ok(BookingStatus::Pending),
        "INFO" | "FUTR" => Ok(BookingStatus::Information),
        "Rejected" | "RJCT" => Ok(BookingStatus::Rejected),
        _ => Err(node.malformed()),
    }
}
