//! Payments of a plugin. What may have moved money is never sent again, and an answer to
//! it that cannot be read leaves open what the bank did.

use connect::{
    BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, CallContext, CancelAnswer, Effect,
    ExplicitStart, LodgedPayment, PaymentCancellation, PaymentInitiation, PaymentReport, RedirectUris,
    TokenKind,
};
use domain::{Order, PaymentOrder};

use crate::dialect::heard;
use crate::reading::Reading;
use crate::request::request;
use crate::wit::payments::{Abilities, Answer, Description, Failure, Operation, Question, Reason, Token};
use crate::{Plugin, asking};

impl Plugin {
    /// The token that the plugin names for a step; none, if it has no payments.
    pub(crate) fn payment_token(&self, of: impl FnOnce(&Description) -> &Token) -> TokenKind<'_> {
        match self.payments.as_ref().map(of) {
            Some(Token::Client(scope)) => TokenKind::Client(scope),
            Some(Token::Person) => TokenKind::Psu,
            Some(Token::PersonIfHeld) => TokenKind::PsuIfHeld,
            Some(Token::None) | None => TokenKind::None,
        }
    }

    fn has(&self, ability: Abilities) -> bool {
        self.payments.as_ref().is_some_and(|said| said.abilities.contains(ability))
    }

    fn ask_to_pay(
        &self,
        cx: &CallContext<'_>,
        question: &Question,
        effect: Effect,
    ) -> Result<BankRequest, BankError> {
        let api = cx.profile.payments_api()?;
        let context = asking::context(cx, Some(api));
        let built = self.guest.payments(|store, it| it.call_build_request(store, question, &context));
        match built.map_err(|why| self.failed(cx, why))? {
            Ok(given) => request(cx, api, given, effect),
            Err(failure) => Err(named(cx, failure)),
        }
    }

    /// Lets the plugin say what an answer about a payment means.
    fn read_payment(
        &self,
        cx: &CallContext<'_>,
        operation: Operation,
        response: &BankResponse,
        effect: Effect,
    ) -> Result<Answer, BankError> {
        let heard = heard(cx, response, effect)?;
        let context = asking::context(cx, cx.profile.payments_api.as_ref());
        let read =
            self.guest.payments(|store, it| it.call_parse_response(store, operation, &context, &heard));
        // What nobody has read says nothing, whatever its status.
        match read.map_err(|why| open(effect, self.failed(cx, why).with_status(heard.status)))? {
            Ok(answer) => Ok(answer),
            Err(failure) => {
                let unread = failure.reason == Reason::MalformedResponse;
                let error = named(cx, failure).with_status(heard.status).after_status(heard.status, effect);
                Err(if unread { open(effect, error) } else { error })
            }
        }
    }
}

/// An error that leaves open what a write did.
fn open(effect: Effect, error: BankError) -> BankError {
    match effect {
        Effect::Read => error,
        Effect::Write => error.unknown(),
    }
}

/// What the plugin says went wrong.
fn named(cx: &CallContext<'_>, failure: Failure) -> BankError {
    use BankErrorKind as K;
    use Reason as R;
    let kind = match failure.reason {
        R::PaymentRejected => K::PaymentRejected,
        R::PaymentLimit => K::PaymentLimit,
        R::FundsInsufficient => K::FundsInsufficient,
        R::ConsentMissing => K::ConsentMissing,
        R::ConsentExpired => K::ConsentExpired,
        R::ConsentRevoked => K::ConsentRevoked,
        R::TokenInvalid => K::TokenInvalid,
        R::AccountNotAccessible => K::AccountNotAccessible,
        R::ResourceUnknown => K::ResourceUnknown,
        R::InvalidRequest => K::InvalidRequest,
        R::CertificateRejected => K::CertificateRejected,
        R::SignatureRejected => K::SignatureRejected,
        R::PsuActionRequired => K::PsuActionRequired,
        R::Unsupported => K::Unsupported,
        R::MalformedResponse => K::MalformedResponse,
    };
    cx.error(kind).with_bank_code(failure.bank_code.as_deref().unwrap_or_default())
}

impl PaymentInitiation for Plugin {
    fn submits_after_sca(&self) -> bool {
        self.has(Abilities::SUBMISSION)
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        self.ask_to_pay(cx, &Question::Lodge(asking::lodging(order, redirects)), Effect::Write)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        let answer = self.read_payment(cx, Operation::Lodge, response, Effect::Write)?;
        Reading::of(cx).lodged_payment(answer, order, self.submits_after_sca()).map_err(|error| {
            // The bank's own refusal is certain; the rest says nothing of what it did.
            if error.kind == BankErrorKind::PaymentRejected { error } else { error.unknown() }
        })
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        let question = || Question::Submit(asking::held(order, bank_id, None));
        self.submits_after_sca().then(|| self.ask_to_pay(cx, &question(), Effect::Write))
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let answer = self.read_payment(cx, Operation::Submit, response, Effect::Write)?;
        Reading::of(cx).report(answer, order).map_err(BankError::unknown)
    }

    fn cancellation(&self) -> Option<&dyn PaymentCancellation> {
        self.has(Abilities::CANCELLATION).then_some(self)
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        let held = asking::held(order, &ids.lodged, ids.payment.as_deref());
        self.ask_to_pay(cx, &Question::Status(held), Effect::Read)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        _ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let answer = self.read_payment(cx, Operation::Status, response, Effect::Read)?;
        Reading::of(cx).report(answer, order)
    }
}

impl PaymentCancellation for Plugin {
    fn cancel(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &Order,
    ) -> Result<BankRequest, BankError> {
        // The interface knows no batches, so that none of them is with a plugin's bank.
        let order = order.transfer().ok_or_else(|| cx.error(BankErrorKind::Unsupported))?;
        let held = asking::held(order, &ids.lodged, ids.payment.as_deref());
        self.ask_to_pay(cx, &Question::Cancel(held), Effect::Write)
    }

    fn cancelled(
        &self,
        cx: &CallContext<'_>,
        _ids: &BankPaymentIds,
        _order: &Order,
        response: &BankResponse,
    ) -> Result<CancelAnswer, BankError> {
        let answer = self.read_payment(cx, Operation::Cancel, response, Effect::Write)?;
        Reading::of(cx).cancelled(&answer).map_err(BankError::unknown)?;
        Ok(CancelAnswer::Taken)
    }
}
