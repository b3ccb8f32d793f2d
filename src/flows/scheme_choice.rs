//! On which rail a payment runs: the one that the TPP names, the institution's first, or
//! the one that we choose.

use connect::Profile;
use domain::{BatchOrder, Decimal, InstitutionId, PaymentOrder, PaymentScheme, PaymentType, Violations};

use crate::{FlowError, Gateway};

/// How a TPP names the rail of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemeWish {
    /// Not at all: the institution's first.
    First,
    /// The fastest that takes the order.
    Auto,
    /// This one.
    Named(PaymentScheme),
}

/// Why a rail was chosen: words of the API.
mod reason {
    /// Of those that take the order it is the fastest.
    pub(super) const FASTEST: &str = "FASTEST";
    /// No other takes it.
    pub(super) const ONLY: &str = "ONLY";
    /// A faster one takes less.
    pub(super) const LIMIT: &str = "LIMIT";
    /// No other reaches the creditor in this currency.
    pub(super) const DESTINATION: &str = "DESTINATION";
}

impl Gateway {
    /// Puts an order on its rail, whatever rail it names. Gives the reason too, if the rail
    /// was ours to choose.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the institution is not known, takes no such payments, or has no
    /// rail for this one.
    pub fn on_a_rail(
        &self,
        institution: &InstitutionId,
        order: PaymentOrder,
        wish: SchemeWish,
    ) -> Result<(PaymentOrder, Option<String>), FlowError> {
        let profile = self.bank(institution)?;
        let kind = order.kind();
        let Some(first) = profile.payment_schemes.first().copied().filter(|_| profile.takes(kind)) else {
            return Err(FlowError::Unsupported(institution.clone()));
        };
        let orders = std::slice::from_ref(&order);
        let (scheme, reason) = wish.settled(&profile, first, orders)?;
        check(&profile, orders, scheme, wish, |_| String::new())?;
        Ok((on(scheme, order), reason))
    }

    /// The same of a batch: one rail that takes all of its transfers.
    ///
    /// # Errors
    ///
    /// As [`Gateway::on_a_rail`]; [`FlowError::Invalid`] too where the transfers are in
    /// several currencies.
    pub fn batch_on_a_rail(
        &self,
        institution: &InstitutionId,
        batch: BatchOrder,
        wish: SchemeWish,
    ) -> Result<(BatchOrder, Option<String>), FlowError> {
        let profile = self.bank(institution)?;
        let has_batches = self.dialect_of(&profile)?.batches().is_some();
        let taken = has_batches && profile.takes(PaymentType::Bulk);
        let Some(first) = profile.payment_schemes.first().copied().filter(|_| taken) else {
            return Err(FlowError::Unsupported(institution.clone()));
        };
        if batch.total().is_none() {
            let mut violations = Violations::default();
            let detail = "the payments of a batch are in one currency, and their sum is an amount";
            violations.add("/payments", "batch.total", detail);
            return Err(violations.into());
        }
        let (scheme, reason) = wish.settled(&profile, first, &batch.transfers)?;
        let place = |number: usize| format!("/payments/{number}");
        check(&profile, &batch.transfers, scheme, wish, place)?;
        let transfers = batch.transfers.into_iter().map(|transfer| on(scheme, transfer)).collect();
        Ok((BatchOrder { scheme, transfers, ..batch }, reason))
    }
}

/// An order on its rail. What only a bank abroad needs goes to no other.
fn on(scheme: PaymentScheme, order: PaymentOrder) -> PaymentOrder {
    let abroad = order.abroad.filter(|_| scheme == PaymentScheme::CrossBorder);
    PaymentOrder { scheme, abroad, ..order }
}

impl SchemeWish {
    /// The rail, and the reason, if it is ours to choose.
    fn settled(
        self,
        profile: &Profile,
        first: PaymentScheme,
        orders: &[PaymentOrder],
    ) -> Result<(PaymentScheme, Option<String>), FlowError> {
        match self {
            Self::First => Ok((first, None)),
            Self::Named(scheme) => Ok((scheme, None)),
            Self::Auto => choose(profile, orders).map(|(scheme, reason)| (scheme, Some(reason.to_owned()))),
        }
    }
}

/// Whether a rail takes orders at an institution. `place` is where an order is in what was
/// sent.
fn check(
    profile: &Profile,
    orders: &[PaymentOrder],
    scheme: PaymentScheme,
    wish: SchemeWish,
    place: impl Fn(usize) -> String,
) -> Result<(), FlowError> {
    let mut violations = Violations::default();
    let rails: Vec<_> = profile.payment_schemes.iter().map(|scheme| scheme.as_str()).collect();
    if !profile.payment_schemes.contains(&scheme) {
        let detail = format!("this institution offers {}", rails.join(", "));
        violations.add("/scheme", "scheme.unsupported", detail);
    }
    let named = matches!(wish, SchemeWish::Named(_));
    for (number, order) in orders.iter().enumerate() {
        let mut add = |field: &str, code, detail| violations.add(place(number) + field, code, detail);
        if let Some(currency) = scheme.currency().filter(|own| *own != order.amount.currency().code()) {
            add("/amount/currency", "scheme.currency", format!("{scheme} pays in {currency}"));
        }
        if order.destination().is_some_and(|country| !scheme.reaches(country)) {
            let detail = format!("{scheme} does not reach accounts in this country");
            add("/creditor_account", "scheme.destination", detail);
        }
        if named && order.abroad.is_some() && scheme != PaymentScheme::CrossBorder {
            let detail = "charges, creditor's bank and address are for CROSS_BORDER".to_owned();
            add("/scheme", "scheme.abroad", detail);
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
}

/// The fastest rail of an institution that takes all of these orders, and why it is this one.
fn choose(profile: &Profile, orders: &[PaymentOrder]) -> Result<(PaymentScheme, &'static str), FlowError> {
    let carries = |scheme: &PaymentScheme| {
        orders.iter().all(|order| scheme.carries(&order.amount, order.destination()))
    };
    let mut carrying: Vec<_> = profile.payment_schemes.iter().copied().filter(carries).collect();
    // Of two that are as fast, the institution's own order counts.
    carrying.sort_by_key(|scheme| scheme.slowness());
    let limits = &profile.payment_constraints.max_amounts;
    let fits = |scheme: &PaymentScheme| {
        let within = |most: &Decimal| orders.iter().all(|order| order.amount.amount() <= *most);
        limits.get(scheme).is_none_or(within)
    };
    let Some(chosen) = carrying.iter().copied().find(fits) else {
        let mut violations = Violations::default();
        violations.add("/scheme", "scheme.none", "no rail of this institution takes this order");
        return Err(violations.into());
    };
    let reason = if carrying.first() != Some(&chosen) {
        reason::LIMIT
    } else if carrying.len() > 1 {
        reason::FASTEST
    } else if profile.payment_schemes.len() > 1 {
        reason::DESTINATION
    } else {
        reason::ONLY
    };
    Ok((chosen, reason))
}

#[cfg(test)]
mod tests {
    use domain::{AccountIdentification, Execution, Money, PaymentRisk, RemittanceInformation};

    use super::*;

    fn profile(schemes: &[PaymentScheme]) -> Profile {
        let (id, region) = ("de-examplebank".parse().unwrap(), "eu".parse().unwrap());
        let mut profile = Profile::blank(id, "Example Bank", region, "berlin-group");
        profile.payment_schemes = schemes.to_vec();
        let limit = "1000".parse().unwrap();
        profile.payment_constraints.max_amounts.insert(PaymentScheme::SepaInstant, limit);
        profile
    }

    fn order(amount: &str, currency: &str, iban: &str) -> PaymentOrder {
        PaymentOrder {
            end_to_end_id: String::new().into(),
            instruction_id: String::new(),
            amount: Money::parse(amount, currency.parse().unwrap()).unwrap(),
            debtor_account: None,
            creditor_name: "Merchant".into(),
            creditor_account: AccountIdentification::Iban(iban.parse().unwrap()),
            remittance: RemittanceInformation::default(),
            scheme: PaymentScheme::CrossBorder,
            execution: Execution::AtOnce,
            abroad: None,
            risk: PaymentRisk::default(),
        }
    }

    const GERMAN: &str = "DE02120300000000202051";
    const JORDANIAN: &str = "JO94CBJO0010000000000131000302";

    #[test]
    fn the_fastest_rail_that_takes_an_order_is_chosen_and_the_reason_said() {
        use PaymentScheme::{CrossBorder, SepaCreditTransfer, SepaInstant};
        let bank = profile(&[SepaCreditTransfer, SepaInstant, CrossBorder]);
        let chosen = |order: &PaymentOrder| choose(&bank, std::slice::from_ref(order)).unwrap();
        assert_eq!(chosen(&order("1000", "EUR", GERMAN)), (SepaInstant, "FASTEST"));
        assert_eq!(chosen(&order("1000.01", "EUR", GERMAN)), (SepaCreditTransfer, "LIMIT"));
        assert_eq!(chosen(&order("5", "USD", GERMAN)), (CrossBorder, "DESTINATION"));
        assert_eq!(chosen(&order("5", "EUR", JORDANIAN)), (CrossBorder, "DESTINATION"));
        let one = profile(&[SepaCreditTransfer]);
        assert_eq!(choose(&one, &[order("5", "EUR", GERMAN)]).unwrap(), (SepaCreditTransfer, "ONLY"));
        let none = choose(&one, &[order("5", "USD", GERMAN)]).unwrap_err();
        assert!(matches!(none, FlowError::Invalid(violations) if violations.to_string().contains("/scheme")));
    }

    #[test]
    fn a_rail_takes_its_own_currency_and_countries_only() {
        let bank = profile(&[PaymentScheme::SepaCreditTransfer]);
        let wish = SchemeWish::First;
        let scheme = PaymentScheme::SepaCreditTransfer;
        assert!(check(&bank, &[order("5", "EUR", GERMAN)], scheme, wish, |_| String::new()).is_ok());
        for bad in [order("5", "USD", GERMAN), order("5", "EUR", JORDANIAN)] {
            assert!(matches!(
                check(&bank, &[bad], scheme, wish, |_| String::new()),
                Err(FlowError::Invalid(_))
            ));
        }
    }
}
