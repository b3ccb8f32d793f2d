//! A bank that speaks no standard: lines of fields, posted to one counter. The
//! protocol is in `src/plugins/example/README.md`.

#[path = "slips.rs"]
mod slips;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::{Clock, Date};
use jiff::ToSpan;

use slips::Slips;

/// Entries on one page.
const PAGE: usize = 5;

/// What the bank knows.
pub struct Lilybank {
    /// Where customers come to, without a path.
    pub origin: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
    tickets: Mutex<BTreeMap<String, Ticket>>,
    slips: Mutex<Slips>,
    heard: Mutex<Vec<Heard>>,
}

/// A message, and whether the customer was said to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The line.
    pub line: String,
    /// Address of the customer's device.
    pub customer_at: Option<String>,
}

struct Ticket {
    rights: String,
    state: &'static str,
    back: [String; 2],
}

/// Why something is not done.
struct No(&'static str);

const BOOKS: [[&str; 4]; 2] = [
    ["71", "DE75512108001245126199", "Anna Teich", "Current account"],
    ["72", "DE89370400440532013000", "Anna Teich", "Savings"],
];

impl Lilybank {
    /// A bank whose customers come to `origin`.
    #[must_use]
    pub fn new(origin: String, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            origin,
            clock,
            tickets: Mutex::default(),
            slips: Mutex::default(),
            heard: Mutex::default(),
        })
    }

    /// Its counter and its desk.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/counter", post(counter))
            .route("/desk", get(desk).post(decided))
            .with_state(Arc::clone(self))
    }

    /// What was said at the counter so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Our numbers of the orders that it carried out or keeps for their day, once for
    /// each time that it was told to.
    #[must_use]
    pub fn paid(&self) -> Vec<String> {
        self.slips.lock().unwrap_or_else(PoisonError::into_inner).paid().to_vec()
    }

    fn answer(&self, line: &str) -> Result<String, No> {
        let fields: Vec<&str> = line.split('|').collect();
        let mut slips = self.slips.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = slips.answer(&fields, &self.origin, self.today()) {
            return answer;
        }
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        if let ["OPEN", rights, _until, ok, nok] = fields[..] {
            let id = format!("t-{}", tickets.len());
            let back = [ok.to_owned(), nok.to_owned()];
            tickets.insert(id.clone(), Ticket { rights: rights.to_owned(), state: "WAITING", back });
            return Ok(format!("TICKET|{id}|WAITING|{}/desk?ticket={id}\n", self.origin));
        }
        let id = fields.get(1).ok_or(No("WHAT"))?;
        let ticket = tickets.get_mut(*id).ok_or(No("NO-TICKET"))?;
        match fields[..] {
            ["STATE", _] => return Ok(format!("TICKET|{id}|{}\n", ticket.state)),
            ["CLOSE", _] => {
                ticket.state = "CLOSED";
                return Ok("DONE\n".to_owned());
            }
            _ if ticket.state != "GIVEN" => return Err(No("CLOSED")),
            _ => {}
        }
        let right = |right: char| if ticket.rights.contains(right) { Ok(()) } else { Err(No("NOT-YOURS")) };
        match fields[..] {
            ["BOOKS", _] => right('B').map(|()| books()),
            ["WORTH", _, book] => right('W').and_then(|()| self.worth(book)),
            ["PAYEES", _, book] => right('B').and_then(|()| payees(book)),
            ["LINES", _, book, from, to, kind, after] => {
                right('L').and_then(|()| self.lines(book, [from, to], kind, after))
            }
            _ => Err(No("WHAT")),
        }
    }

    /// The customer's word on a ticket or a slip; where the browser goes on to.
    fn decide(&self, id: &str, yes: bool) -> Option<String> {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ticket) = tickets.get_mut(id).filter(|ticket| ticket.state == "WAITING") else {
            return self.slips.lock().unwrap_or_else(PoisonError::into_inner).decide(id, yes);
        };
        ticket.state = if yes { "GIVEN" } else { "DENIED" };
        let [ok, nok] = &ticket.back;
        Some(if yes { ok.clone() } else { nok.clone() })
    }

    fn today(&self) -> Date {
        self.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    fn worth(&self, book: &str) -> Result<String, No> {
        let cents = match book {
            "71" => "123456",
            "72" => "-5",
            _ => return Err(No("NO-BOOK")),
        };
        Ok(format!("WORTH|{cents}|EUR|{}\n", written(self.today())))
    }

    /// Twelve entries, one a day, of which the newest is not booked yet.
    fn lines(&self, book: &str, days: [&str; 2], kind: &str, after: &str) -> Result<String, No> {
        if !BOOKS.iter().any(|known| known[0] == book) {
            return Err(No("NO-BOOK"));
        }
        let [from, to] = days.map(read);
        let after: i32 = after.parse().map_err(|_| No("WHAT"))?;
        let all = (1..=12).rev().map(|number| (number, self.today().saturating_sub((12 - number).days())));
        let wanted: Vec<(i32, Date)> = all
            .filter(|(number, day)| {
                let booked = if *number == 12 { "?" } else { "+" };
                let within = from.is_none_or(|from| *day >= from) && to.is_none_or(|to| *day <= to);
                within && (kind == "*" || kind == booked)
            })
            .filter(|(number, _)| after == 0 || *number < after)
            .collect();
        let mut text = String::new();
        for (number, day) in wanted.iter().take(PAGE) {
            let state = if *number == 12 { "?" } else { "+" };
            let (cents, who, words) = match number % 3 {
                0 => ("250000", "Reed & Sons", "Salary"),
                1 => ("-1230", "Café Ufer", "Lunch"),
                _ => ("-99", "", "Fee"),
            };
            let iban = if who.is_empty() { "" } else { "FR1420041010050500013M02606" };
            let day = written(*day);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "LINE|{book}-{number}|{state}|{cents}|EUR|{day}|{who}|{iban}|{words}");
        }
        if let (Some((last, _)), true) = (wanted.get(PAGE - 1), wanted.len() > PAGE) {
            let _ = writeln!(text, "MORE|{book}|{}|{}|{kind}|{last}", days[0], days[1]);
        }
        Ok(text)
    }
}

fn books() -> String {
    BOOKS.iter().fold(String::new(), |mut text, [number, iban, owner, name]| {
        let _ = writeln!(text, "BOOK|{number}|{iban}|EUR|{owner}|{name}");
        text
    })
}

/// Whom the customer pays from a book.
fn payees(book: &str) -> Result<String, No> {
    match book {
        "71" => Ok("PAYEE|1|Corner Bookshop|DE42999100002000000018\n".to_owned()),
        "72" => Ok(String::new()),
        _ => Err(No("NO-BOOK")),
    }
}

/// `31.12.2026`
fn written(day: Date) -> String {
    format!("{:02}.{:02}.{:04}", day.day(), day.month(), day.year())
}

fn read(day: &str) -> Option<Date> {
    let parts: Vec<&str> = day.split('.').rev().collect();
    parts.join("-").parse().ok()
}

async fn counter(State(bank): State<Arc<Lilybank>>, headers: HeaderMap, line: String) -> Response {
    let customer_at = headers.get("x-customer-at").and_then(|value| value.to_str().ok()).map(str::to_owned);
    bank.heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { line: line.clone(), customer_at });
    match bank.answer(&line) {
        Ok(text) => text.into_response(),
        Err(No(why)) => (StatusCode::CONFLICT, format!("NO|{why}\n")).into_response(),
    }
}

/// Where the customer says yes or no.
async fn desk(Query(asked): Query<BTreeMap<String, String>>) -> Html<String> {
    let known = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    let id = asked.get("ticket").map(String::as_str).unwrap_or_default();
    let id: String = id.bytes().filter(known).map(char::from).collect();
    Html(format!(
        "<!doctype html><html lang=\"en\"><title>Lilybank</title><h1>Lilybank</h1>\
         <p>Do you agree to {id}?</p><form method=\"post\" action=\"/desk\">\
         <input type=\"hidden\" name=\"ticket\" value=\"{id}\"><button name=\"decision\" value=\"approve\">Yes</button> \
         <button name=\"decision\" value=\"deny\">No</button></form></html>"
    ))
}

async fn decided(State(bank): State<Arc<Lilybank>>, Form(said): Form<BTreeMap<String, String>>) -> Response {
    let id = said.get("ticket").map(String::as_str).unwrap_or_default();
    let yes = said.get("decision").is_some_and(|decision| decision == "approve");
    match bank.decide(id, yes) {
        Some(back) => Redirect::to(&back).into_response(),
        None => (StatusCode::NOT_FOUND, "There is no such ticket.").into_response(),
    }
}
