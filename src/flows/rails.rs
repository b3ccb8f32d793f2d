//! On which rail a payment runs: the one that the TPP names, the institution's first, or
//! the one that we choose.

use connect::Profile;
use domain::{InstitutionId, PaymentOrder, PaymentScheme, Violations};

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
        let (scheme, reason) = match wish {
            SchemeWish::First => (first, None),
            SchemeWish::Named(scheme) => (scheme, None),
            SchemeWish::Auto => {
                let (scheme, reason) = choose(&profile, &order)?;
                (scheme, Some(reason.to_owned()))
            }
        };
        check(&profile, &order, scheme, wish)?;
        // What only a bank abroad needs goes to no other.
        let abroad = order.abroad.filter(|_| scheme == PaymentScheme::CrossBorder);
        Ok((PaymentOrder { scheme, abroad, ..order }, reason))
    }
}

/// Whether a rail takes an order at an institution.
fn check(
    profile: &Profile,
    order: &PaymentOrder,
    scheme: PaymentScheme,
    wish: SchemeWish,
) -> Result<(), FlowError> {
    let mut violations = Violations::default();
    let rails: Vec<_> = profile.payment_schemes.iter().map(|scheme| scheme.as_str()).collect();
    if !profile.payment_schemes.contains(&scheme) {
        let detail = format!("this institution offers {}", rails.join(", "));
        violations.add("/scheme", "scheme.unsupported", detail);
    }
    if let Some(currency) = scheme.currency().filter(|own| *own != order.amount.currency().code()) {
        violations.add("/amount/currency", "scheme.currency", format!("{scheme} pays in {currency}"));
    }
    if order.destination().is_some_and(|country| !scheme.reaches(country)) {
        let detail = format!("{scheme} does not reach accounts in this country");
        violations.add("/creditor_account", "scheme.destination", detail);
    }
    let named = matches!(wish, SchemeWish::Named(_));
    if named && order.abroad.is_some() && scheme != PaymentScheme::CrossBorder {
        let detail = "charges, creditor's bank and address are for CROSS_BORDER";
        violations.add("/scheme", "scheme.abroad", detail);
    }
    if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
}

/// The fastest rail of an institution that takes an order, and why it is this one.
fn choose(profile: &Profile, order: &PaymentOrder) -> Result<(PaymentScheme, &'static str), FlowError> {
    let destination = order.destination();
    let mut carrying: Vec<_> = profile
        .payment_schemes
        .iter()
        .copied()
        .filter(|scheme| scheme.carries(&order.amount, destination))
        .collect();
    // Of two that are as fast, the institution's own order counts.
    carrying.sort_by_key(|scheme| scheme.slowness());
    let limits = &profile.payment_constraints.max_amounts;
    let fits = |scheme: &PaymentScheme| limits.get(scheme).is_none_or(|most| order.amount.amount() <= *most);
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
            end_to_end_id: String::new(),
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
        let chosen = |order: &PaymentOrder| choose(&bank, order).unwrap();
        assert_eq!(chosen(&order("1000", "EUR", GERMAN)), (SepaInstant, "FASTEST"));
        assert_eq!(chosen(&order("1000.01", "EUR", GERMAN)), (SepaCreditTransfer, "LIMIT"));
        assert_eq!(chosen(&order("5", "USD", GERMAN)), (CrossBorder, "DESTINATION"));
        assert_eq!(chosen(&order("5", "EUR", JORDANIAN)), (CrossBorder, "DESTINATION"));
        let one = profile(&[SepaCreditTransfer]);
        assert_eq!(choose(&one, &order("5", "EUR", GERMAN)).unwrap(), (SepaCreditTransfer, "ONLY"));
        let none = choose(&one, &order("5", "USD", GERMAN)).unwrap_err();
        assert!(matches!(none, FlowError::Invalid(violations) if violations.to_string().contains("/scheme")));
    }

    #[test]
    fn a_rail_takes_its_own_currency_and_countries_only() {
        let bank = profile(&[PaymentScheme::SepaCreditTransfer]);
        let wish = SchemeWish::First;
        let scheme = PaymentScheme::SepaCreditTransfer;
        assert!(check(&bank, &order("5", "EUR", GERMAN), scheme, wish).is_ok());
        for bad in [order("5", "USD", GERMAN), order("5", "EUR", JORDANIAN)] {
            assert!(matches!(check(&bank, &bad, scheme, wish), Err(FlowError::Invalid(_))));
        }
    }
}
