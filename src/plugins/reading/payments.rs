//! What a plugin says of payments. What the bank repeated is compared here, so that no
//! plugin can take one order for another.

use connect::{BankErrorKind, Echo, LodgedPayment, PaymentReport, ScaStart};
use domain::{AccountIdentification, IsoPaymentStatus, PaymentOrder};

use super::*;
use crate::wit::payments as paying;

impl Reading<'_> {
    /// `submits`: the order is to be submitted after the person's approval, which only
    /// a browser that comes back tells of.
    pub(crate) fn lodged_payment(
        &self,
        answer: paying::Answer,
        order: &PaymentOrder,
        submits: bool,
    ) -> Read<LodgedPayment> {
        let paying::Answer::Lodged(lodged) = answer else { return Err(self.refused("answer")) };
        let bank_id = self.id(lodged.lodged_id, "lodged.lodged-id")?;
        let status = self.iso_status(lodged.status, "lodged.status")?;
        self.echo(lodged.echo, order, "lodged.echo")?;
        if let Some(IsoPaymentStatus::Rejected) = status {
            let code = IsoPaymentStatus::Rejected.as_str();
            return Err(self.cx.error(BankErrorKind::PaymentRejected).with_bank_code(code));
        }
        let sca = self.authentication(lodged.authentication, "lodged.authentication")?;
        let apart = matches!(sca, ScaStart::Decoupled { .. } | ScaStart::NotNeeded);
        let sca = if submits && apart { ScaStart::Unsupported } else { sca };
        Ok(LodgedPayment { bank_id, sca, status })
    }

    pub(crate) fn report(&self, answer: paying::Answer, order: &PaymentOrder) -> Read<PaymentReport> {
        let paying::Answer::Report(report) = answer else { return Err(self.refused("answer")) };
        let id = |id| self.id(id, "report.payment-id");
        let account = |number| self.number(number, "report.refund-account");
        Ok(PaymentReport {
            echo: self.echo(report.echo, order, "report.echo")?,
            status: self.iso_status(report.status, "report.status")?,
            consent: report.approval.map(consent_status),
            iso_reason: report.reason.map(|code| self.iso_reason(code, "report.reason")).transpose()?,
            bank_payment_id: report.payment_id.map(id).transpose()?,
            refund_account: report.refund_account.map(account).transpose()?,
            last_word: report.last_word,
            // One transfer is one order.
            transfers: Vec::new(),
        })
    }

    pub(crate) fn cancelled(&self, answer: &paying::Answer) -> Read<()> {
        if matches!(answer, paying::Answer::Cancelled) { Ok(()) } else { Err(self.refused("answer")) }
    }

    /// A name of the bank's that we ask by.
    fn id(&self, id: String, place: &str) -> Read<String> {
        if ApiBase::is_segment(&id) { Ok(id) } else { Err(self.refused(place)) }
    }

    fn iso_status(&self, code: Option<String>, place: &str) -> Read<Option<IsoPaymentStatus>> {
        code.map(|code| IsoPaymentStatus::from_word(&code).ok_or_else(|| self.refused(place))).transpose()
    }

    /// Four letters and digits (ISO 20022 ExternalStatusReason1Code).
    fn iso_reason(&self, code: String, place: &str) -> Read<String> {
        let fits = code.len() == 4 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if fits { Ok(code) } else { Err(self.refused(place)) }
    }

    /// Compares what the bank repeated of an order.
    fn echo(&self, echo: paying::Echo, order: &PaymentOrder, place: &str) -> Read<Echo> {
        let amount = self.amount_echo(echo.amount, order, &format!("{place}.amount"))?;
        let at = format!("{place}.creditor-account");
        let creditor = self.account_echo(echo.creditor_account, Some(&order.creditor_account), &at)?;
        let at = format!("{place}.debtor-account");
        self.account_echo(echo.debtor_account, order.debtor_account.as_ref(), &at)?;
        for (found, ordered, field) in [
            (echo.end_to_end_id, order.end_to_end_id.as_str(), "end-to-end-id"),
            (echo.instruction_id, order.instruction_id.as_str(), "instruction-id"),
        ] {
            if found.is_some_and(|found| found != ordered) {
                return Err(self.mismatch(&format!("{place}.{field}")));
            }
        }
        Ok(if amount == Echo::Same && creditor == Echo::Same { Echo::Same } else { Echo::Absent })
    }

    fn amount_echo(&self, found: Option<paying::Money>, order: &PaymentOrder, place: &str) -> Read<Echo> {
        let Some(found) = found else { return Ok(Echo::Absent) };
        let number = plain_decimal(&found.amount).ok_or_else(|| self.refused(place))?;
        let currency = self.currency(&found.currency, place)?;
        let same = number == order.amount.amount() && currency == order.amount.currency();
        if same { Ok(Echo::Same) } else { Err(self.mismatch(place)) }
    }

    /// An account that the order leaves to the person may be any.
    fn account_echo(
        &self,
        found: Option<wit::AccountNumber>,
        ordered: Option<&AccountIdentification>,
        place: &str,
    ) -> Read<Echo> {
        let Some(found) = found.map(|number| self.number(number, place)).transpose()? else {
            return Ok(Echo::Absent);
        };
        match ordered {
            Some(ordered) if ordered.normalised() != found.normalised() => Err(self.mismatch(place)),
            Some(_) => Ok(Echo::Same),
            None => Ok(Echo::Absent),
        }
    }

    fn mismatch(&self, place: &str) -> BankError {
        self.cx.error(BankErrorKind::EchoMismatch).at(place)
    }
}

#[cfg(test)]
mod tests;
