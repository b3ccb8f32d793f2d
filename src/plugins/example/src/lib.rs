//! Lilybank, whose interface is that of no standard: every message is a line of
//! fields with `|` between them, posted to one address. README.md has the protocol.
//!
//! A plugin is three functions. `describe` is asked once, `build_request` says what
//! to send, `parse_response` says what an answer means. The gateway does the rest.
//! A bank that takes payments, or tells more of accounts, has the same three for each.

mod payments;
mod resources;

wit_bindgen::generate!({ path: "../wit", world: "complete-connector" });

use exports::consentry::connector::bank::{
    Abilities, Account, AccountNumber, AccountStatus, AccountsPage, Answer, Authentication, Balance,
    BalanceType, Body, BookingStatus, ConsentOrder, ConsentStatus, Consents, Context, Description, Failure,
    Guest, HeaderValue, LodgedConsent, Method, Operation, Permission, Question, Reason, Request, Response,
    Selection, Target, Transaction, TransactionQuery, TransactionsPage, Usage,
};

struct Lilybank;

export!(Lilybank);

impl Guest for Lilybank {
    fn describe() -> Description {
        Description {
            standard: "Lilybank counter 2".to_owned(),
            // A ticket is opened before the customer comes, without a token: the
            // bank knows us by our certificate.
            consents: Consents::Lodged(None),
            abilities: Abilities::CONSENT_STATUS | Abilities::REVOCATION,
        }
    }

    fn build_request(question: Question, context: Context) -> Result<Request, Failure> {
        let message = match question {
            Question::LodgeConsent(order) => open(&order),
            Question::ConsentStatus => format!("STATE|{}", ticket(&context)?),
            Question::RevokeConsent => format!("CLOSE|{}", ticket(&context)?),
            Question::Accounts => format!("BOOKS|{}", ticket(&context)?),
            Question::Balances(book) => format!("WORTH|{}|{}", ticket(&context)?, field(&book)),
            Question::Transactions(query) => lines(&ticket(&context)?, &query),
            // What `parse_response` put there when it read the page before.
            Question::NextPage(target) => {
                let message = target.query.into_iter().find(|(name, _)| name == "message");
                message.ok_or_else(|| failure(Reason::InvalidRequest))?.1
            }
        };
        Ok(posted(message, context))
    }

    fn parse_response(operation: Operation, context: Context, response: Response) -> Result<Answer, Failure> {
        let lines = lines_of(&response.body).ok_or_else(malformed)?;
        if response.status != 200 {
            // Whatever is not there any more needs no end.
            let ended = matches!(refusal(&lines), Some("NO-TICKET" | "CLOSED" | "OVER"));
            let revoked = ended && operation == Operation::RevokeConsent;
            return if revoked { Ok(Answer::Revoked) } else { Err(refused(&lines)) };
        }
        match operation {
            Operation::LodgeConsent => opened(&lines),
            Operation::ConsentStatus => state(&lines).map(Answer::Status),
            Operation::RevokeConsent => Ok(Answer::Revoked),
            Operation::Accounts => {
                let accounts = lines.iter().map(|line| book(line)).collect::<Result<_, _>>()?;
                Ok(Answer::Accounts(AccountsPage { accounts, next: None }))
            }
            Operation::Balances => {
                lines.iter().map(|line| worth(line)).collect::<Result<_, _>>().map(Answer::Balances)
            }
            Operation::Transactions => page(&ticket(&context)?, &lines),
        }
    }
}

fn failure(reason: Reason) -> Failure {
    Failure { reason, bank_code: None }
}

fn malformed() -> Failure {
    failure(Reason::MalformedResponse)
}

/// A message to the counter.
fn posted(message: String, context: Context) -> Request {
    Request {
        method: Method::Post,
        target: counter(None),
        headers: vec![
            ("x-slip".to_owned(), HeaderValue::Text(context.request_id)),
            // Whoever asks says whether the customer stands at the counter.
            ("x-customer-at".to_owned(), HeaderValue::PsuIpAddress),
        ],
        body: Some(Body { content_type: "text/plain; charset=utf-8".to_owned(), content: message }),
    }
}

/// The lines of an answer, and their fields.
fn lines_of(body: &[u8]) -> Option<Vec<Vec<&str>>> {
    let text = std::str::from_utf8(body).ok()?;
    Some(text.lines().filter(|line| !line.is_empty()).map(|line| line.split('|').collect()).collect())
}

/// The bank's one address; what is asked for the next page is remembered in it.
fn counter(next: Option<String>) -> Target {
    let query = next.map(|message| ("message".to_owned(), message));
    Target { path: vec!["counter".to_owned()], query: query.into_iter().collect() }
}

/// A text as one field: a bar would begin another.
fn field(text: &str) -> String {
    text.replace(['|', '\n', '\r'], " ")
}

fn ticket(context: &Context) -> Result<String, Failure> {
    context.consent_id.as_deref().map(field).ok_or_else(|| failure(Reason::ConsentMissing))
}

fn open(order: &ConsentOrder) -> String {
    let mut rights = String::from("B");
    if order.permissions.contains(&Permission::Balances) {
        rights.push('W');
    }
    if order.permissions.contains(&Permission::TransactionsBasic)
        || order.permissions.contains(&Permission::TransactionsDetail)
    {
        rights.push('L');
    }
    let until = order.valid_until.as_deref().map_or("-".to_owned(), day_out);
    format!("OPEN|{rights}|{until}|{}|{}", field(&order.redirect_ok), field(&order.redirect_nok))
}

fn lines(ticket: &str, query: &TransactionQuery) -> String {
    let day = |day: &Option<String>| day.as_deref().map_or("-".to_owned(), day_out);
    let kind = match query.status {
        Selection::Both => "*",
        Selection::Booked => "+",
        Selection::Pending => "?",
    };
    format!("LINES|{ticket}|{}|{}|{}|{kind}|0", field(&query.account), day(&query.from), day(&query.to))
}

fn opened(lines: &[Vec<&str>]) -> Result<Answer, Failure> {
    let [line] = lines else { return Err(malformed()) };
    let ["TICKET", id, _, desk] = line[..] else { return Err(malformed()) };
    Ok(Answer::Lodged(LodgedConsent {
        consent_id: id.to_owned(),
        status: state(lines)?,
        authentication: Authentication::Redirect(desk.to_owned()),
        valid_until: None,
    }))
}

fn state(lines: &[Vec<&str>]) -> Result<ConsentStatus, Failure> {
    let [line] = lines else { return Err(malformed()) };
    let ["TICKET", _, state, ..] = line[..] else { return Err(malformed()) };
    Ok(match state {
        "WAITING" => ConsentStatus::AwaitingAuthorisation,
        "GIVEN" => ConsentStatus::Authorised,
        "DENIED" => ConsentStatus::Rejected,
        "TAKEN-BACK" => ConsentStatus::RevokedByPsu,
        "CLOSED" => ConsentStatus::Terminated,
        "OVER" => ConsentStatus::Expired,
        _ => return Err(malformed()),
    })
}

/// `BOOK|number|IBAN|currency|owner|name`
fn book(line: &[&str]) -> Result<Account, Failure> {
    let ["BOOK", number, iban, currency, owner, name] = *line else { return Err(malformed()) };
    Ok(Account {
        resource_id: number.to_owned(),
        numbers: vec![AccountNumber::Iban(iban.to_owned())],
        currency: Some(currency.to_owned()),
        display_name: Some(name.to_owned()),
        product: None,
        holders: vec![owner.to_owned()],
        cash_account_type: Some("CACC".to_owned()),
        usage: Usage::Personal,
        status: AccountStatus::Enabled,
        bic: None,
        balances: Vec::new(),
    })
}

/// `WORTH|cents|currency|day`
fn worth(line: &[&str]) -> Result<Balance, Failure> {
    let ["WORTH", cents, currency, day] = *line else { return Err(malformed()) };
    Ok(Balance {
        kind: BalanceType::InterimBooked,
        amount: amount(cents)?,
        currency: currency.to_owned(),
        credit_line_included: Some(false),
        reference_date: Some(day_in(day)?),
        last_change_at: None,
    })
}

/// `LINE|number|state|cents|currency|day|who|IBAN|words` and at the end, where there
/// is more, `MORE|the message that asks for it`.
fn page(ticket: &str, lines: &[Vec<&str>]) -> Result<Answer, Failure> {
    let (entries, more) = match lines.split_last() {
        Some((last, before)) if last[0] == "MORE" => (before, Some(last)),
        _ => (lines, None),
    };
    let next = more.map(|line| {
        let ["MORE", book, from, to, kind, after] = line[..] else { return Err(malformed()) };
        Ok(counter(Some(format!("LINES|{ticket}|{book}|{from}|{to}|{kind}|{after}"))))
    });
    let transactions = entries.iter().map(|line| entry(line)).collect::<Result<_, _>>()?;
    Ok(Answer::Transactions(TransactionsPage { transactions, next: next.transpose()? }))
}

fn entry(line: &[&str]) -> Result<Transaction, Failure> {
    let ["LINE", number, state, cents, currency, day, who, iban, words] = *line else {
        return Err(malformed());
    };
    let name = (!who.is_empty()).then(|| who.to_owned());
    let account = (!iban.is_empty()).then(|| AccountNumber::Iban(iban.to_owned()));
    let amount = amount(cents)?;
    // What goes out has a creditor, what comes in a debtor.
    let out = amount.starts_with('-');
    let (creditor, debtor) =
        if out { ((name, account), (None, None)) } else { ((None, None), (name, account)) };
    let booked = state == "+";
    Ok(Transaction {
        transaction_id: booked.then(|| number.to_owned()),
        entry_reference: None,
        end_to_end_id: None,
        mandate_id: None,
        status: if booked { BookingStatus::Booked } else { BookingStatus::Pending },
        amount,
        currency: currency.to_owned(),
        booking_date: if booked { Some(day_in(day)?) } else { None },
        value_date: None,
        booked_at: None,
        creditor_name: creditor.0,
        creditor_account: creditor.1,
        debtor_name: debtor.0,
        debtor_account: debtor.1,
        remittance: vec![words.to_owned()],
        references: Vec::new(),
        bank_transaction_code: None,
        proprietary_code: None,
        merchant_category_code: None,
        balance_after: None,
    })
}

/// `NO|code`: the bank's word for what it will not do.
fn refusal<'a>(lines: &[Vec<&'a str>]) -> Option<&'a str> {
    let [line] = lines else { return None };
    match line[..] {
        ["NO", code] => Some(code),
        _ => None,
    }
}

/// Why the bank will not do it.
fn refused(lines: &[Vec<&str>]) -> Failure {
    let Some(code) = refusal(lines) else { return malformed() };
    let reason = match code {
        "NO-TICKET" => Reason::ConsentMissing,
        "CLOSED" => Reason::ConsentRevoked,
        "OVER" => Reason::ConsentExpired,
        "NO-BOOK" => Reason::ResourceUnknown,
        "NOT-YOURS" => Reason::AccountNotAccessible,
        "TOO-OLD" => Reason::HistoryWindow,
        "TOO-OFTEN" => Reason::QuotaExceeded,
        _ => Reason::InvalidRequest,
    };
    Failure { reason, bank_code: Some(code.to_owned()) }
}

/// `-1230` cents are `-12.30`.
fn amount(cents: &str) -> Result<String, Failure> {
    let (sign, digits) = cents.strip_prefix('-').map_or(("", cents), |digits| ("-", digits));
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(malformed());
    }
    let padded = format!("{digits:0>3}");
    let (whole, fraction) = padded.split_at(padded.len() - 2);
    Ok(format!("{sign}{whole}.{fraction}"))
}

/// `12.3` are `1230` cents; none, if there is a fraction of one.
fn cents(amount: &str) -> Option<String> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = format!("{whole}{fraction:0<2}");
    let cents = (fraction.len() <= 2).then(|| digits.trim_start_matches('0').to_owned());
    cents.filter(|cents| !cents.is_empty())
}

/// `31.12.2026` is `2026-12-31`; the gateway finds out whether there is such a day.
fn day_in(day: &str) -> Result<String, Failure> {
    let parts: Vec<&str> = day.split('.').collect();
    let [day, month, year] = parts[..] else { return Err(malformed()) };
    Ok(format!("{year}-{month}-{day}"))
}

fn day_out(day: &str) -> String {
    day.split('-').rev().collect::<Vec<_>>().join(".")
}
