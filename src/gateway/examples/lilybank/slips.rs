//! Payment slips: written, signed by the customer at the desk, and paid as often as the
//! bank is told to. Who tells it twice pays twice.

use domain::Date;

use super::{No, read};

/// What the customer's books hold, cents.
const FUNDS: u64 = 1_000_000;

/// Orders, by their place.
#[derive(Default)]
pub struct Slips {
    slips: Vec<Slip>,
    paid: Vec<String>,
}

struct Slip {
    number: String,
    cents: u64,
    currency: String,
    creditor: String,
    day: Option<Date>,
    back: [String; 2],
    state: &'static str,
    payment: Option<String>,
}

impl Slips {
    /// Answers a message about slips; none, if it is about something else.
    pub fn answer(&mut self, fields: &[&str], origin: &str, today: Date) -> Option<Result<String, No>> {
        let known = |slips: &Self, id: &str| slips.place(id).ok_or(No("NO-SLIP"));
        Some(match *fields {
            ["ORDER", number, cents, currency, _who, iban, _from, day, _words, ok, nok] => {
                let Ok(cents) = cents.parse() else { return Some(Err(No("WHAT"))) };
                self.slips.push(Slip {
                    number: number.to_owned(),
                    cents,
                    currency: currency.to_owned(),
                    creditor: iban.to_owned(),
                    day: read(day),
                    back: [ok.to_owned(), nok.to_owned()],
                    state: "WAITING",
                    payment: None,
                });
                Ok(self.line(self.slips.len() - 1, origin, today))
            }
            ["PAY", id] => {
                known(self, id).and_then(|at| self.pay(at, today)).map(|at| self.line(at, origin, today))
            }
            ["HOW", id] => known(self, id).map(|at| self.line(at, origin, today)),
            ["STOP", id] => known(self, id).and_then(|at| self.stop(at, today)),
            _ => return None,
        })
    }

    /// The customer's word at the desk; where the browser goes on to.
    pub fn decide(&mut self, id: &str, yes: bool) -> Option<String> {
        let at = self.place(id)?;
        let slip = self.slips.get_mut(at).filter(|slip| slip.state == "WAITING")?;
        slip.state = if yes { "GIVEN" } else { "DENIED" };
        let [ok, nok] = &slip.back;
        Some(if yes { ok.clone() } else { nok.clone() })
    }

    /// Our numbers of the orders that were taken into the books, once for each time.
    pub fn paid(&self) -> &[String] {
        &self.paid
    }

    fn place(&self, id: &str) -> Option<usize> {
        let at: usize = id.strip_prefix("s-")?.parse().ok()?;
        (at < self.slips.len()).then_some(at)
    }

    fn pay(&mut self, at: usize, today: Date) -> Result<usize, No> {
        let number = self.paid.len();
        let slip = self.slips.get_mut(at).filter(|slip| !matches!(slip.state, "WAITING" | "DENIED"));
        let slip = slip.ok_or(No("NOT-GIVEN"))?;
        slip.payment = Some(format!("p-{number}"));
        slip.state = match slip.day {
            _ if slip.cents > FUNDS => "NO-MONEY",
            Some(day) if day > today => "LATER",
            Some(_) | None => "DONE",
        };
        self.paid.push(slip.number.clone());
        Ok(at)
    }

    fn stop(&mut self, at: usize, today: Date) -> Result<String, No> {
        let waits = |slip: &&mut Slip| slip.state == "LATER" && slip.day.is_some_and(|day| day > today);
        let slip = self.slips.get_mut(at).filter(waits).ok_or(No("TOO-LATE"))?;
        slip.state = "STOPPED";
        Ok("DONE\n".to_owned())
    }

    /// What the bank says of a slip, and what it repeats of the order.
    fn line(&self, at: usize, origin: &str, today: Date) -> String {
        let Some(slip) = self.slips.get(at) else { return String::new() };
        let come = slip.state == "LATER" && slip.day.is_some_and(|day| day <= today);
        let state = if come { "DONE" } else { slip.state };
        let order = format!("{}|{}|{}|{}", slip.number, slip.cents, slip.currency, slip.creditor);
        match &slip.payment {
            Some(payment) => format!("PAID|{payment}|{state}|{order}\n"),
            None => format!("SLIP|s-{at}|{state}|{order}|{origin}/desk?ticket=s-{at}\n"),
        }
    }
}
