//! Payments at Lilybank: a slip is written, the customer signs it at the desk, and it is
//! paid when we say so.

use crate::exports::consentry::connector::bank::{
    AccountNumber, Authentication, ConsentStatus, Context, Request, Response,
};
use crate::exports::consentry::connector::payments::{
    Abilities, Answer, Description, Echo, Execution, Failure, Guest, LodgedPayment, Lodging, Money,
    Operation, Question, Reason, Report, Scheme, Token,
};
use crate::{Lilybank, amount, cents, day_out, field, lines_of, posted, refusal};

impl Guest for Lilybank {
    fn describe() -> Description {
        Description {
            abilities: Abilities::SUBMISSION | Abilities::CANCELLATION,
            // The bank knows us by our certificate.
            lodge_token: Token::None,
            submit_token: Token::None,
            status_token: Token::None,
        }
    }

    fn build_request(question: Question, context: Context) -> Result<Request, Failure> {
        let message = match question {
            Question::Lodge(lodging) => order(&lodging)?,
            Question::Submit(held) => format!("PAY|{}", field(&held.lodged_id)),
            // Finds an order whose submission was never answered as well.
            Question::Status(held) => format!("HOW|{}", field(&held.lodged_id)),
            Question::Cancel(held) => format!("STOP|{}", field(&held.lodged_id)),
        };
        Ok(posted(message, context))
    }

    fn parse_response(operation: Operation, _: Context, response: Response) -> Result<Answer, Failure> {
        let lines = lines_of(&response.body).ok_or_else(malformed)?;
        if response.status != 200 {
            return Err(refused(&lines));
        }
        let [line] = &lines[..] else { return Err(malformed()) };
        match operation {
            Operation::Lodge => lodged(line).map(Answer::Lodged),
            Operation::Submit => report(line).map(Answer::Report),
            Operation::Status => report(line).map(Answer::Report),
            Operation::Cancel => Ok(Answer::Cancelled),
        }
    }
}

fn failure(reason: Reason) -> Failure {
    Failure { reason, bank_code: None }
}

fn malformed() -> Failure {
    failure(Reason::MalformedResponse)
}

fn iban(number: &AccountNumber) -> Result<String, Failure> {
    match number {
        AccountNumber::Iban(iban) => Ok(iban.clone()),
        _ => Err(failure(Reason::Unsupported)),
    }
}

/// `ORDER|our number|cents|currency|who|IBAN|from|day|words|ok address|nok address`
fn order(lodging: &Lodging) -> Result<String, Failure> {
    let order = &lodging.order;
    let day = match &order.execution {
        Execution::AtOnce => "-".to_owned(),
        Execution::OnDay(day) => day_out(day),
        Execution::Repeated(_) => return Err(failure(Reason::Unsupported)),
    };
    if order.scheme != Scheme::SepaCreditTransfer {
        return Err(failure(Reason::Unsupported));
    }
    let from = order.debtor_account.as_ref().map(iban).transpose()?;
    let fields = [
        order.instruction_id.clone(),
        cents(&order.amount).ok_or_else(|| failure(Reason::InvalidRequest))?,
        order.currency.clone(),
        order.creditor_name.clone(),
        iban(&order.creditor_account)?,
        from.unwrap_or("-".to_owned()),
        day,
        order.remittance.clone().or(order.reference.clone()).unwrap_or("-".to_owned()),
        lodging.redirect_ok.clone(),
        lodging.redirect_nok.clone(),
    ];
    Ok(format!("ORDER|{}", fields.map(|text| field(&text)).join("|")))
}

/// What each line about a slip repeats of the order.
fn echo(number: &str, cents: &str, currency: &str, iban: &str) -> Result<Echo, Failure> {
    Ok(Echo {
        amount: Some(Money {
            amount: amount(cents).map_err(|_| malformed())?,
            currency: currency.to_owned(),
        }),
        creditor_account: Some(AccountNumber::Iban(iban.to_owned())),
        debtor_account: None,
        end_to_end_id: None,
        instruction_id: Some(number.to_owned()),
    })
}

/// `SLIP|id|state|our number|cents|currency|IBAN|address of the desk`
fn lodged(line: &[&str]) -> Result<LodgedPayment, Failure> {
    let ["SLIP", id, "WAITING", number, cents, currency, iban, desk] = *line else {
        return Err(malformed());
    };
    Ok(LodgedPayment {
        lodged_id: id.to_owned(),
        status: None,
        authentication: Authentication::Redirect(desk.to_owned()),
        echo: echo(number, cents, currency, iban)?,
    })
}

/// The same line of a slip that is not paid yet, or
/// `PAID|number|state|our number|cents|currency|IBAN`.
fn report(line: &[&str]) -> Result<Report, Failure> {
    let (payment, state, repeated) = match *line {
        ["SLIP", _, state, number, cents, currency, iban, _] => {
            (None, state, echo(number, cents, currency, iban)?)
        }
        ["PAID", payment, state, number, cents, currency, iban] => {
            (Some(payment.to_owned()), state, echo(number, cents, currency, iban)?)
        }
        _ => return Err(malformed()),
    };
    let (status, approval) = match (&payment, state) {
        (None, "WAITING") => (None, Some(ConsentStatus::AwaitingAuthorisation)),
        (None, "GIVEN") => (None, Some(ConsentStatus::Authorised)),
        (None, "DENIED") => (None, Some(ConsentStatus::Rejected)),
        (Some(_), "LATER") => (Some("ACCP"), None),
        (Some(_), "DONE") => (Some("ACSC"), None),
        (Some(_), "STOPPED") => (Some("CANC"), None),
        (Some(_), "NO-MONEY") => (Some("RJCT"), None),
        _ => return Err(malformed()),
    };
    Ok(Report {
        status: status.map(str::to_owned),
        approval,
        reason: (state == "NO-MONEY").then(|| "AM04".to_owned()),
        payment_id: payment,
        echo: repeated,
        refund_account: None,
        last_word: false,
    })
}

fn refused(lines: &[Vec<&str>]) -> Failure {
    let Some(code) = refusal(lines) else { return malformed() };
    let reason = match code {
        "NO-SLIP" => Reason::ResourceUnknown,
        "NOT-GIVEN" => Reason::ConsentRevoked,
        "NO-BOOK" => Reason::AccountNotAccessible,
        // Among them `TOO-LATE`, of what is paid already.
        _ => Reason::InvalidRequest,
    };
    Failure { reason, bank_code: Some(code.to_owned()) }
}
