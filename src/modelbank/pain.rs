//! Messages of the faces that speak XML: pain.001 with one `PmtInf` in, and parts of pain.002
//! out.

use std::collections::HashMap;

use domain::Timestamp;
use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use rust_decimal::Decimal;

use crate::engine::{Order, Outcome};

/// The element that comes once for each transfer.
const TRANSFER: &str = "CdtTrfTxInf";
/// Where its `PmtInf` lies.
const PAYMENT: &str = "/Document/CstmrCdtTrfInitn/PmtInf";

/// The texts of a message by their paths.
#[derive(Debug)]
pub(crate) struct Message {
    texts: HashMap<String, String>,
    /// How many transfers it has.
    pub(crate) transfers: usize,
}

impl Message {
    /// Reads a message; none, if it is no XML, of another namespace or has several `PmtInf`.
    pub(crate) fn read(text: &str, namespace: &str) -> Option<Self> {
        let message = elements(text)?;
        (message.at("/Document/@xmlns") == Some(namespace)).then_some(message)
    }

    /// A text of the header, by its path there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.at(&format!("/Document/CstmrCdtTrfInitn/GrpHdr/{name}"))
    }

    /// A text of what is the same for all transfers.
    pub(crate) fn payment(&self, name: &str) -> Option<&str> {
        self.at(&format!("{PAYMENT}/{name}"))
    }

    /// A text of one transfer; the first has the number 0.
    pub(crate) fn transfer(&self, number: usize, name: &str) -> Option<&str> {
        self.at(&format!("{PAYMENT}/{TRANSFER}[{number}]/{name}"))
    }

    /// True if `NbOfTxs` and `CtrlSum` are the number and the sum of its transfers.
    pub(crate) fn adds_up(&self) -> bool {
        let sum = self.sum();
        let told = self.header("CtrlSum").and_then(|sum| sum.parse().ok());
        self.header("NbOfTxs") == Some(self.transfers.to_string().as_str()) && sum.is_some() && told == sum
    }

    /// The sum of its transfers.
    pub(crate) fn sum(&self) -> Option<Decimal> {
        let amount = |number| self.transfer(number, "Amt/InstdAmt")?.parse::<Decimal>().ok();
        (0..self.transfers).try_fold(Decimal::ZERO, |sum, number| sum.checked_add(amount(number)?))
    }

    fn at(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }
}

/// The texts of all elements and attributes, by their path, in which transfers are counted.
fn elements(text: &str) -> Option<Message> {
    let mut reader = Reader::from_str(text);
    let (mut path, mut texts) = (String::new(), HashMap::new());
    let (mut transfers, mut payments) = (0_usize, 0_usize);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push('/');
                path.push_str(start.name().as_ref());
                if start.name().as_ref() == TRANSFER {
                    path.push_str(&format!("[{transfers}]"));
                    transfers = transfers.checked_add(1)?;
                }
                if path == PAYMENT {
                    payments = payments.checked_add(1)?;
                }
                for attribute in start.attributes() {
                    let attribute = attribute.ok()?;
                    texts.insert(format!("{path}/@{}", attribute.key.as_ref()), attribute.value.into_owned());
                }
            }
            Event::Text(text) => texts.entry(path.clone()).or_insert_with(String::new).push_str(&text),
            Event::GeneralRef(name) => {
                let text = quick_xml::escape::resolve_predefined_entity(&name)?;
                texts.entry(path.clone()).or_insert_with(String::new).push_str(text);
            }
            Event::End(_) => path.truncate(path.rfind('/')?),
            Event::Eof => break,
            Event::Empty(_) | Event::CData(_) | Event::DocType(_) => return None,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
    }
    (path.is_empty() && payments == 1).then_some(Message { texts, transfers })
}

/// How each transfer of an order stands, as the `OrgnlPmtInfAndSts` of a pain.002 message.
pub(crate) fn statuses(order: &Order, now: Timestamp) -> String {
    let each = order.transfers.iter().map(|transfer| {
        let rejected = match &transfer.outcome {
            Some(Outcome::Rejected(reason, _)) => Some(reason.as_str()),
            Some(Outcome::Executed(_)) | None => None,
        };
        format!(
            "<TxInfAndSts><OrgnlEndToEndId>{}</OrgnlEndToEndId><TxSts>{}</TxSts>{}</TxInfAndSts>",
            escape(transfer.end_to_end.as_deref().unwrap_or_default()),
            order.status_of(transfer, now),
            reason(rejected),
        )
    });
    format!("<OrgnlPmtInfAndSts>{}</OrgnlPmtInfAndSts>", each.collect::<String>())
}

/// Why something was rejected, as the `StsRsnInf` of a pain.002 message.
pub(crate) fn reason(reason: Option<&str>) -> String {
    let element = |reason| format!("<StsRsnInf><Rsn><Cd>{}</Cd></Rsn></StsRsnInf>", escape(reason));
    reason.map(element).unwrap_or_default()
}
