//! What a bank's options change in requests.

use connect::{
    AccountReference, BankError, BankErrorKind, BookingFilter, CallContext, ConsentKind, ConsentOrder,
};
use connect::{PaymentField, TransactionSelection};
use domain::{AccountIdentification, Execution, PaymentOrder, PaymentScheme, Permission};
use serde_json::{Map, Value, json};

/// The headers about the PSU; those that the bank wants together are left out
/// together if one is not known.
pub(super) fn psu_headers(cx: &CallContext<'_>) -> [(&'static str, Option<String>); 5] {
    let options = &cx.profile.berlin_group;
    let psu_id = cx.psu_id.filter(|_| !options.psu_id_unwanted);
    let mut headers = [
        ("psu-ip-address", cx.psu.map(|psu| psu.ip_address.to_string())),
        ("psu-user-agent", cx.psu.and_then(|psu| psu.user_agent.clone())),
        ("psu-accept-language", cx.psu.and_then(|psu| psu.accept_language.clone())),
        ("psu-id", psu_id.map(str::to_owned)),
        ("psu-id-type", psu_id.and(options.psu_id_type.clone())),
    ];
    let together = |name: &str| options.psu_headers_together.iter().any(|wanted| wanted == name);
    if headers.iter().any(|(name, value)| together(name) && value.is_none()) {
        for (_, value) in headers.iter_mut().filter(|(name, _)| together(name)) {
            *value = None;
        }
    }
    headers
}

/// The access that is asked for: accounts named by the TPP; or, where it names
/// none, the widest way the bank offers that asks for no more than was ordered.
pub(super) fn access(cx: &CallContext<'_>, order: &ConsentOrder) -> Result<Value, BankError> {
    let options = &cx.profile.berlin_group;
    let has = |wanted: &[Permission]| order.permissions.iter().any(|given| wanted.contains(given));
    let balances = has(&[Permission::ReadBalances]);
    let transactions = has(&[Permission::ReadTransactionsBasic, Permission::ReadTransactionsDetail]);
    let party = has(&[Permission::ReadParty]);
    let beneficiaries = has(&[Permission::ReadBeneficiaries]);
    let unsupported = |place| Err(cx.unsupported(place));
    if transactions && !balances && options.transactions_need_balances {
        return unsupported("access/balances");
    }
    let named: Vec<Value> =
        order.accounts.iter().map(|account| reference(cx, account)).collect::<Result<_, _>>()?;
    let lists = || {
        let kinds = [("accounts", true), ("balances", balances), ("transactions", transactions)];
        let wanted = kinds.into_iter().filter(|(_, wanted)| *wanted);
        let mut access: Map<_, _> = wanted.map(|(kind, _)| (kind.to_owned(), json!(named))).collect();
        let kinds = [("ownerName", party), ("trustedBeneficiaries", beneficiaries)];
        let wanted = kinds.into_iter().filter(|(_, wanted)| *wanted);
        let additional: Map<_, _> = wanted.map(|(kind, _)| (kind.to_owned(), json!(named))).collect();
        if !additional.is_empty() {
            access.insert("additionalInformation".to_owned(), Value::Object(additional));
        }
        Value::Object(access)
    };
    if !named.is_empty() {
        return if options.offers(ConsentKind::AccountList) {
            Ok(lists())
        } else {
            unsupported("access/accounts")
        };
    }
    let accounts = if party { "allAccountsWithOwnerName" } else { "allAccounts" };
    if balances && transactions && !beneficiaries && options.offers(ConsentKind::Global) {
        return Ok(json!({ "allPsd2": accounts }));
    }
    if options.offers(ConsentKind::BankOffered) {
        return Ok(lists());
    }
    match (balances, transactions) {
        _ if beneficiaries => unsupported("access/additionalInformation"),
        (false, false) if options.offers(ConsentKind::AvailableAccounts) => {
            Ok(json!({ "availableAccounts": accounts }))
        }
        (true, false) if options.offers(ConsentKind::AvailableAccountsWithBalance) => {
            Ok(json!({ "availableAccountsWithBalance": accounts }))
        }
        _ => unsupported("access"),
    }
}

/// `accountReference`.
pub(super) fn reference(cx: &CallContext<'_>, account: &AccountIdentification) -> Result<Value, BankError> {
    let (kind, name, value) = match account {
        AccountIdentification::Iban(iban) => (AccountReference::Iban, "iban", iban.as_str()),
        AccountIdentification::Bban(bban) => (AccountReference::Bban, "bban", bban.as_str()),
        AccountIdentification::MaskedPan(pan) => (AccountReference::MaskedPan, "maskedPan", pan.as_str()),
        AccountIdentification::SortCode(_) | AccountIdentification::Other { .. } => {
            return Err(cx.unsupported("account"));
        }
    };
    if cx.profile.berlin_group.takes(kind) {
        Ok(json!({ name: value }))
    } else {
        Err(cx.unsupported("account"))
    }
}

/// Accesses a day without the PSU.
pub(super) fn frequency(cx: &CallContext<'_>, order: &ConsentOrder) -> u8 {
    order.frequency_per_day.clamp(1, cx.profile.berlin_group.max_frequency_per_day.unwrap_or(4))
}

/// `bookingStatus`: what is wanted, or the most of it that the bank gives.
pub(super) fn booking_status(
    cx: &CallContext<'_>,
    wanted: TransactionSelection,
) -> Result<&'static str, BankError> {
    let filters = |filter| cx.profile.berlin_group.filters(filter);
    match wanted {
        TransactionSelection::Both if filters(BookingFilter::Both) => Ok("both"),
        TransactionSelection::Both | TransactionSelection::Booked if filters(BookingFilter::Booked) => {
            Ok("booked")
        }
        TransactionSelection::Pending if filters(BookingFilter::Pending) => Ok("pending"),
        TransactionSelection::Both | TransactionSelection::Booked | TransactionSelection::Pending => {
            Err(cx.unsupported("bookingStatus"))
        }
    }
}

/// What is accepted as transactions. Banks that keep to camt or MT940 answer
/// 406 to JSON alone.
pub(super) fn transaction_formats(cx: &CallContext<'_>) -> String {
    let formats = &cx.profile.berlin_group.transaction_formats;
    if formats.is_empty() {
        return "application/json, application/xml;q=0.8, text/plain;q=0.5".to_owned();
    }
    formats.join(", ")
}

/// What is accepted as status of a payment.
pub(super) fn payment_status_formats(cx: &CallContext<'_>) -> String {
    let formats = &cx.profile.berlin_group.payment_status_formats;
    if formats.is_empty() { "application/json".to_owned() } else { formats.join(", ") }
}

/// The product of a payment: as JSON where the bank takes that. A series as pain.001
/// would be a body of two parts, which is not written here.
pub(super) fn product(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<&'static str, BankError> {
    let as_pain = order.abroad.is_none() && !matches!(order.execution, Execution::Repeated(_));
    product_of(cx, order.scheme, as_pain)
}

/// The product of a rail, as pain.001 where the bank takes no JSON and `as_pain` admits it.
pub(super) fn product_of(
    cx: &CallContext<'_>,
    scheme: PaymentScheme,
    as_pain: bool,
) -> Result<&'static str, BankError> {
    let (json, pain) = match scheme {
        PaymentScheme::SepaCreditTransfer => ("sepa-credit-transfers", "pain.001-sepa-credit-transfers"),
        PaymentScheme::SepaInstant => {
            ("instant-sepa-credit-transfers", "pain.001-instant-sepa-credit-transfers")
        }
        PaymentScheme::CrossBorder => {
            ("cross-border-credit-transfers", "pain.001-cross-border-credit-transfers")
        }
        PaymentScheme::FasterPayments | PaymentScheme::Elixir | PaymentScheme::ExpressElixir => {
            return Err(cx.unsupported("scheme"));
        }
    };
    let products = &cx.profile.berlin_group.payment_products;
    let takes = |product: &str| products.iter().any(|known| known == product);
    if products.is_empty() || takes(json) {
        Ok(json)
    } else if as_pain && takes(pain) {
        Ok(pain)
    } else {
        Err(cx.unsupported("scheme"))
    }
}

/// True if the product is ordered by a pain.001 message.
pub(super) fn is_pain(product: &str) -> bool {
    product.starts_with("pain.001-")
}

/// Refuses an order that lacks what the bank wants.
pub(super) fn complete(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<(), BankError> {
    for field in &cx.profile.berlin_group.required_payment_fields {
        let (present, name) = match field {
            PaymentField::DebtorAccount => (order.debtor_account.is_some(), "debtor_account"),
            PaymentField::Remittance => (order.remittance.unstructured.is_some(), "remittance"),
        };
        if !present {
            return Err(cx.error(BankErrorKind::InvalidRequest).at(name));
        }
    }
    Ok(())
}
