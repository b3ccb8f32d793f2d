//! Transfers: the PSU authorises one transfer or one series, named in all its parts,
//! and the token of that authorization places it, once.

use connect::{
    BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, CallContext, CancelAnswer, Effect,
    ExplicitStart, LodgedPayment, PaymentCancellation, PaymentInitiation, PaymentReport, RedirectUris,
};
use domain::{
    Abroad, ChargeBearer, Execution, ExecutionRule, IsoPaymentStatus, Order, PaymentFrequency, PaymentOrder,
    PaymentScheme, Recurrence, Timestamp,
};
use http::StatusCode;
use jiff::ToSpan;
use serde_json::{Map, Value, json};

use super::accounts::written;
use super::{Inside, PolishApi, address, after, authorize, authorized, request, success};
use crate::node::Node;

/// Longest line of a name.
const LINE: usize = 35;
/// Hours after an order's last day for which it is asked about.
const AFTERWARDS: i64 = 168;

impl PaymentInitiation for PolishApi {
    fn submits_after_sca(&self) -> bool {
        true
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        let mut asked = members(cx, order)?;
        asked.insert("scopeUsageLimit".into(), json!("single"));
        let (privilege, question, name) = match order.execution {
            Execution::AtOnce | Execution::On(_) => {
                (rail(order.scheme).0, "pis:getPayment", json!({ "tppTransactionId": order.instruction_id }))
            }
            Execution::Repeated(_) => {
                let name = json!({ "tppRecurringPaymentId": order.instruction_id });
                ("recurring", "pis:getRecurringPayment", name)
            }
        };
        let mut status = name;
        if let Some(status) = status.as_object_mut() {
            status.insert("scopeUsageLimit".into(), json!("multiple"));
        }
        let privileges = Map::from_iter([
            (format!("pis:{privilege}"), Value::Object(asked)),
            (question.to_owned(), status),
        ]);
        let until = asked_until(cx, &order.execution);
        authorize(cx, cx.profile.payments_api()?, "pis", (until, json!([privileges])), redirects)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        _order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        let (bank_id, sca) = authorized(cx, response)?;
        Ok(LodgedPayment { bank_id, sca, status: None })
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn cancellation(&self) -> Option<&dyn PaymentCancellation> {
        Some(&Cancellation)
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        _bank_id: &str,
        order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        let build = || {
            let mut members = members(cx, order)?;
            let operation = match order.execution {
                Execution::AtOnce | Execution::On(_) => {
                    members.insert("tppTransactionId".into(), json!(order.instruction_id));
                    members.insert("hold".into(), json!(false));
                    rail(order.scheme).0
                }
                Execution::Repeated(_) => {
                    members.insert("tppRecurringPaymentId".into(), json!(order.instruction_id));
                    "recurring"
                }
            };
            let url = address(cx.profile.payments_api()?, "payments", operation);
            request(cx, url, Effect::Write, Inside::Payment, members)
        };
        Some(build())
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Write)?;
        report(&Node::root(&cx.profile.id, &body), order).map_err(|error| after(Effect::Write, error))
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        let names = Names::of(order);
        let mut members = Map::new();
        // Without an answer to the order, it is found under the name that we gave it.
        match &ids.payment {
            Some(payment) => members.insert(names.bank.into(), json!(payment)),
            None => members.insert(names.ours.into(), json!(order.instruction_id)),
        };
        let url = address(cx.profile.payments_api()?, "payments", names.question);
        request(cx, url, Effect::Read, Inside::Payment, members)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        _ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let named = root.get(Names::of(order).ours);
        if named.text()?.is_some_and(|id| id != order.instruction_id) {
            let mut error = named.malformed();
            error.kind = BankErrorKind::EchoMismatch;
            return Err(error);
        }
        report(&root, order)
    }
}

/// `cancelPayments` and `cancelRecurringPayment`, with the token that placed the order.
struct Cancellation;

impl PaymentCancellation for Cancellation {
    fn cancel(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &Order,
    ) -> Result<BankRequest, BankError> {
        let (name, cancellation) = match order {
            Order::Transfer(order) => {
                let names = Names::of(order);
                (names.bank, names.cancellation)
            }
            Order::Batch(_) => ("bundleId", "cancelPayments"),
        };
        let payment = ids.payment.as_deref().ok_or_else(|| cx.error(BankErrorKind::ResourceUnknown))?;
        let members = Map::from_iter([(name.to_owned(), json!(payment))]);
        let url = address(cx.profile.payments_api()?, "payments", cancellation);
        request(cx, url, Effect::Write, Inside::Payment, members)
    }

    fn cancelled(
        &self,
        cx: &CallContext<'_>,
        _ids: &BankPaymentIds,
        _order: &Order,
        response: &BankResponse,
    ) -> Result<CancelAnswer, BankError> {
        if response.status == StatusCode::NO_CONTENT {
            return Ok(CancelAnswer::Taken);
        }
        let body = success(cx, response, Effect::Write)?;
        // Payments are listed that could not be cancelled.
        let root = Node::root(&cx.profile.id, &body);
        let kept = !root.get("payments").items()?.is_empty();
        if kept { Err(cx.error(BankErrorKind::InvalidRequest)) } else { Ok(CancelAnswer::Taken) }
    }
}

/// What the standard calls the parts of an answer.
struct Names {
    question: &'static str,
    cancellation: &'static str,
    bank: &'static str,
    ours: &'static str,
    status: &'static str,
    detail: &'static str,
}

impl Names {
    fn of(order: &PaymentOrder) -> Self {
        match order.execution {
            Execution::AtOnce | Execution::On(_) => Self {
                question: "getPayment",
                cancellation: "cancelPayments",
                bank: "paymentId",
                ours: "tppTransactionId",
                status: "generalStatus",
                detail: "detailedStatus",
            },
            Execution::Repeated(_) => Self {
                question: "getRecurringPayment",
                cancellation: "cancelRecurringPayment",
                bank: "recurringPaymentId",
                ours: "tppRecurringPaymentId",
                status: "recurringPaymentStatus",
                detail: "recurringPaymentDetailedStatus",
            },
        }
    }
}

/// The standard repeats neither amount nor recipient.
fn report(root: &Node<'_>, order: &PaymentOrder) -> Result<PaymentReport, BankError> {
    let names = Names::of(order);
    let status = root.get(names.status);
    let iso = iso_status(&status)?;
    let detail = root.get(names.detail).text()?;
    Ok(PaymentReport {
        status: Some(iso),
        iso_reason: crate::status::iso_reason(detail.filter(|_| iso == IsoPaymentStatus::Rejected)),
        bank_payment_id: Some(root.get(names.bank).required_id()?),
        ..PaymentReport::default()
    })
}

/// The standard's words for how an order stands.
pub(super) fn iso_status(status: &Node<'_>) -> Result<IsoPaymentStatus, BankError> {
    Ok(match status.required_text()?.as_str() {
        "submitted" => IsoPaymentStatus::Received,
        "scheduled" => IsoPaymentStatus::AcceptedTechnical,
        "pending" | "inProgress" => IsoPaymentStatus::AcceptedSettlementInProcess,
        "done" | "close" => IsoPaymentStatus::AcceptedSettlementCompleted,
        "partiallyDone" => IsoPaymentStatus::PartiallyAccepted,
        "rejected" => IsoPaymentStatus::Rejected,
        "cancelled" => IsoPaymentStatus::Cancelled,
        _ => return Err(status.malformed()),
    })
}

/// Until when the order is asked about: a week after its last day, as far as that is known.
pub(super) fn asked_until(cx: &CallContext<'_>, execution: &Execution) -> Timestamp {
    let day = match execution {
        Execution::AtOnce => None,
        Execution::On(day) => Some(*day),
        Execution::Repeated(series) => Some(series.last.unwrap_or(series.first)),
    };
    let shortest = cx.now.checked_add(24.hours()).unwrap_or(cx.now);
    let longest = super::time_limit(cx, None);
    let end = day.and_then(|day| day.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok());
    let end = end.and_then(|end| end.timestamp().checked_add(AFTERWARDS.hours()).ok());
    end.map_or(shortest, |end| end.min(longest).max(shortest))
}

/// Where transfers of a rail are, what a series calls one, and the rail's own words.
pub(super) fn rail(
    scheme: PaymentScheme,
) -> (&'static str, &'static str, Option<(&'static str, &'static str)>) {
    match scheme {
        PaymentScheme::Elixir => ("domestic", "domesticPayment", Some(("Elixir", "StandardD1"))),
        PaymentScheme::ExpressElixir => ("domestic", "domesticPayment", Some(("ExpressElixir", "ExpressD0"))),
        PaymentScheme::SepaCreditTransfer => ("EEA", "EEAPayment", Some(("SEPA", "StandardD1"))),
        PaymentScheme::SepaInstant => ("EEA", "EEAPayment", Some(("InstantSEPA", "ExpressD0"))),
        PaymentScheme::CrossBorder => ("nonEEA", "nonEEAPayment", Some(("Swift", "StandardD2"))),
        PaymentScheme::FasterPayments => ("", "", None),
    }
}

/// The parts of an order that the PSU authorises and the order repeats.
fn members(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Map<String, Value>, BankError> {
    let mut transfer = transfer(cx, order)?;
    let Execution::Repeated(series) = &order.execution else {
        let mode = if order.execution == Execution::AtOnce { "Immediate" } else { "FutureDated" };
        transfer.insert("executionMode".into(), json!(mode));
        return Ok(transfer);
    };
    let (kind, member, _) = rail(order.scheme);
    let mut members = Map::new();
    members.insert("recurrence".into(), recurrence(series));
    members.insert("typeOfPayment".into(), json!(kind));
    members.insert(member.into(), Value::Object(transfer));
    Ok(members)
}

/// `RecurringTransferParameters`. What becomes of a day off has to be said: the next
/// working day, if the order leaves it open.
fn recurrence(series: &Recurrence) -> Value {
    let (unit, count) = match series.frequency {
        PaymentFrequency::Daily => ("day", 1),
        PaymentFrequency::Weekly => ("week", 1),
        PaymentFrequency::EveryTwoWeeks => ("week", 2),
        PaymentFrequency::Monthly => ("month", 1),
        PaymentFrequency::EveryTwoMonths => ("month", 2),
        PaymentFrequency::Quarterly => ("month", 3),
        PaymentFrequency::SemiAnnual => ("month", 6),
        PaymentFrequency::Annual => ("month", 12),
    };
    let day_off = match series.rule {
        Some(ExecutionRule::Preceding) => "before",
        Some(ExecutionRule::Following) | None => "after",
    };
    let mut written = json!({
        "startDate": series.first.to_string(),
        "frequency": { "periodType": unit, "periodValue": count },
        "dayOffOffsetType": day_off,
    });
    if let (Some(last), Some(written)) = (series.last, written.as_object_mut()) {
        written.insert("endDate".into(), json!(last.to_string()));
    }
    written
}

/// One transfer.
pub(super) fn transfer(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Map<String, Value>, BankError> {
    let unsupported = |field: &'static str| cx.unsupported(field);
    let (kind, _, words) = rail(order.scheme);
    let (system, mode) = words.ok_or_else(|| unsupported("scheme"))?;
    let currency = order.amount.currency();
    let own = match kind {
        "domestic" => currency.code() == "PLN",
        "EEA" => currency.code() == "EUR",
        _ => true,
    };
    if !own {
        return Err(unsupported("currency"));
    }
    let remittance = order.remittance.unstructured.as_ref().or(order.remittance.reference.as_ref());
    let mut sender = Map::new();
    if let Some(debtor) = &order.debtor_account {
        sender.insert("accountNumber".into(), json!(written(cx, debtor)?));
    }
    let mut data = json!({
        "description": remittance.unwrap_or(&order.end_to_end_id),
        "amount": order.amount.amount_text(),
        "currency": currency.code(),
    });
    if let (Execution::On(day), Some(data)) = (&order.execution, data.as_object_mut()) {
        data.insert("executionDate".into(), json!(day.to_string()));
    }
    let value = json!({
        "recipient": {
            "accountNumber": written(cx, &order.creditor_account)?,
            "nameAddress": { "value": lines(&order.creditor_name) },
        },
        "sender": sender,
        "transferData": data,
        "deliveryMode": mode,
        "system": system,
    });
    let mut transfer = value.as_object().cloned().unwrap_or_default();
    if let Some(abroad) = &order.abroad {
        transfer.append(&mut foreign(order, abroad));
    }
    Ok(transfer)
}

/// The recipient's bank, and who bears the charges, as SWIFT's field 71A has it.
fn foreign(order: &PaymentOrder, abroad: &Abroad) -> Map<String, Value> {
    let bank = [
        ("bicOrSwift", abroad.creditor_agent.clone()),
        ("countryCode", order.destination().map(|country| country.to_string())),
    ];
    let bank = bank.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    let charges = match abroad.charge_bearer {
        ChargeBearer::Debtor => "OUR",
        ChargeBearer::Creditor => "BEN",
        ChargeBearer::Shared | ChargeBearer::ServiceLevel => "SHA",
    };
    Map::from_iter([
        ("recipientBank".to_owned(), Value::Object(bank.collect())),
        ("transferCharges".to_owned(), json!(charges)),
    ])
}

/// A name in lines of at most 35 characters, four at the most.
fn lines(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    letters.chunks(LINE).take(4).map(|line| line.iter().collect()).collect()
}
