//! ISO 20022 XML that banks send in place of JSON: account reports
//! (camt.052/053/054) and payment status (pain.002).

use connect::BankError;
use domain::{
    AccountIdentification, BookingStatus, CreditDebit, Currency, Decimal, InstitutionId, IsoPaymentStatus,
    Money, Pii, Transaction, plain_decimal,
};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::berlin_group::iban_or_other;
use crate::node::date;
use crate::node::is_identifier;

/// Deepest element of these messages, with room to spare.
const MAX_DEPTH: usize = 64;

/// One element with its children, as far as these messages need it.
#[derive(Default)]
struct Element {
    name: String,
    currency: Option<String>,
    text: String,
    children: Vec<Self>,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn at(&self, path: &str) -> Option<&Self> {
        path.split('/').try_fold(self, |element, name| element.child(name))
    }

    fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).map(|element| element.text.trim()).filter(|text| !text.is_empty())
    }
}

/// Reads the whole document; entities other than XML's own are refused, so
/// nothing expands and nothing is fetched.
fn parse(bank: &InstitutionId, body: &[u8]) -> Result<Element, BankError> {
    let malformed = || BankError::malformed(bank, "body");
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let mut reader = Reader::from_str(text);
    let mut stack = vec![Element::default()];
    loop {
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(start) => {
                if stack.len() > MAX_DEPTH {
                    return Err(malformed());
                }
                stack.push(element(&start).ok_or_else(malformed)?);
            }
            Event::Empty(start) => {
                let empty = element(&start).ok_or_else(malformed)?;
                stack.last_mut().ok_or_else(malformed)?.children.push(empty);
            }
            Event::End(_) => {
                let done = stack.pop().ok_or_else(malformed)?;
                stack.last_mut().ok_or_else(malformed)?.children.push(done);
            }
            Event::Text(text) => {
                stack.last_mut().ok_or_else(malformed)?.text.push_str(&text);
            }
            Event::GeneralRef(reference) => {
                let known = entity(&reference).ok_or_else(malformed)?;
                stack.last_mut().ok_or_else(malformed)?.text.push(known);
            }
            Event::CData(data) => {
                stack.last_mut().ok_or_else(malformed)?.text.push_str(&data);
            }
            Event::DocType(_) => return Err(malformed()),
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    match (stack.pop(), stack.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err(malformed()),
    }
}

fn element(start: &quick_xml::events::BytesStart<'_>) -> Option<Element> {
    let name = start.local_name().into_inner().to_owned();
    let currency = start.try_get_attribute("Ccy").ok()?;
    let currency = currency.map(|attribute| attribute.value.into_owned());
    Some(Element { name, currency, ..Element::default() })
}

/// XML's own entities and character references.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// The entries of all reports or statements of a camt message.
pub(crate) fn transactions(bank: &InstitutionId, body: &[u8]) -> Result<Vec<Transaction>, BankError> {
    let root = parse(bank, body)?;
    let document = root.child("Document").ok_or_else(|| BankError::malformed(bank, "/Document"))?;
    let kinds = [("BkToCstmrAcctRpt", "Rpt"), ("BkToCstmrStmt", "Stmt"), ("BkToCstmrDbtCdtNtfctn", "Ntfctn")];
    let (message, part) = kinds
        .into_iter()
        .find_map(|(name, part)| Some((document.child(name)?, part)))
        .ok_or_else(|| BankError::malformed(bank, "/Document/BkToCstmrAcctRpt"))?;
    let mut found = Vec::new();
    let mut entries = 0usize;
    for report in message.all(part) {
        for entry in report.all("Ntry") {
            let index = entries;
            entries = entries.saturating_add(1);
            let read = booked(entry)
                .map_err(|field| BankError::malformed(bank, format!("/{part}/Ntry/{index}/{field}")))?;
            found.extend(read);
        }
    }
    Ok(found)
}

/// What one entry stands for; the error is the name of the element that cannot be read.
///
/// An entry may be a batch of several transactions. Where each tells its own amount and
/// together they are the entry, they are told one by one; where not, the entry is told
/// as one, without the parties of any.
fn booked(entry: &Element) -> Result<Vec<Transaction>, &'static str> {
    let details: Vec<_> = entry.all("NtryDtls").flat_map(|group| group.all("TxDtls")).collect();
    let nothing = Element::default();
    let (whole, total) = amount(entry).ok_or("Amt")?;
    let way = direction(entry).ok_or("CdtDbtInd")?;
    if let [] | [_] = details.as_slice() {
        let details = details.first().copied().unwrap_or(&nothing);
        return Ok(vec![transaction(entry, details, whole, way)?]);
    }
    let parts: Option<Vec<_>> = details
        .iter()
        .map(|details| {
            let (part, number) = amount(details)?;
            Some((*details, part, number, direction(details).unwrap_or(way)))
        })
        .collect();
    let parts = parts.filter(|parts| {
        let same = parts.iter().all(|(_, part, _, _)| part.currency() == whole.currency());
        let sum = parts.iter().try_fold(Decimal::ZERO, |sum, (_, _, number, part_way)| {
            sum.checked_add(if *part_way == way { *number } else { -*number })
        });
        same && sum == Some(total)
    });
    match parts {
        None => Ok(vec![transaction(entry, &nothing, whole, way)?]),
        Some(parts) => {
            let own: Vec<_> = details.iter().map(|details| identifier(details, "Refs/AcctSvcrRef")).collect();
            let one = |(details, part, _, way)| {
                let mut one = transaction(entry, details, part, way)?;
                // What names the entry, or several of its parts, names none of them.
                let id = identifier(details, "Refs/AcctSvcrRef");
                one.bank_transaction_id = id.filter(|id| {
                    let same = own.iter().filter(|other| other.as_ref() == Some(id)).count();
                    same == 1 && entry.text_at("AcctSvcrRef") != Some(id)
                });
                one.entry_reference = None;
                Ok(one)
            };
            parts.into_iter().map(one).collect()
        }
    }
}

fn identifier(element: &Element, path: &str) -> Option<String> {
    element.text_at(path).filter(|text| is_identifier(text)).map(str::to_owned)
}

/// One transaction of an entry.
fn transaction(
    entry: &Element,
    details: &Element,
    amount: Money,
    direction: CreditDebit,
) -> Result<Transaction, &'static str> {
    let status = entry.text_at("Sts/Cd").or_else(|| entry.text_at("Sts")).ok_or("Sts")?;
    let status = match status {
        "BOOK" => BookingStatus::Booked,
        "PDNG" => BookingStatus::Pending,
        "INFO" => BookingStatus::Information,
        _ => return Err("Sts"),
    };
    let nothing = Element::default();
    let parties = details.child("RltdPties").unwrap_or(&nothing);
    let day = |name: &'static str| match entry.child(name) {
        None => Ok(None),
        Some(element) => {
            let text = element.text_at("Dt").or_else(|| element.text_at("DtTm"));
            text.and_then(date).map(Some).ok_or(name)
        }
    };
    let party = |name: &str| {
        let party = parties.child(name)?;
        party.text_at("Nm").or_else(|| party.text_at("Pty/Nm")).map(str::to_owned)
    };
    let account = |name: &str| {
        let id = parties.child(name)?.child("Id")?;
        match id.text_at("IBAN") {
            Some(iban) => Some(iban_or_other(iban.to_owned())),
            None => id.text_at("Othr/Id").map(|text| AccountIdentification::Bban(text.to_owned())),
        }
    };
    let reference = |path| identifier(details, path);
    let proprietary = details.text_at("BkTxCd/Prtry/Cd").or_else(|| entry.text_at("BkTxCd/Prtry/Cd"));
    let mut remittance: Vec<String> = Vec::new();
    let mut references: Vec<String> = Vec::new();
    if let Some(information) = details.child("RmtInf") {
        remittance.extend(information.all("Ustrd").map(|line| line.text.trim().to_owned()));
        references.extend(
            information.all("Strd").filter_map(|part| part.text_at("CdtrRefInf/Ref")).map(str::to_owned),
        );
    }
    remittance.retain(|line| !line.is_empty());
    Ok(Transaction {
        bank_transaction_id: identifier(entry, "AcctSvcrRef").or_else(|| reference("Refs/AcctSvcrRef")),
        entry_reference: identifier(entry, "NtryRef"),
        end_to_end_id: reference("Refs/EndToEndId").map(Pii::from),
        mandate_id: reference("Refs/MndtId"),
        status,
        amount,
        direction,
        booking_date: day("BookgDt")?,
        value_date: day("ValDt")?,
        booked_at: None,
        creditor_name: party("Cdtr").map(Pii::from),
        creditor_account: account("CdtrAcct"),
        debtor_name: party("Dbtr").map(Pii::from),
        debtor_account: account("DbtrAcct"),
        remittance: remittance.into_iter().map(Pii::from).collect(),
        references: references.into_iter().map(Pii::from).collect(),
        bank_transaction_code: domain_code(entry).or_else(|| domain_code(details)),
        proprietary_code: proprietary.map(str::to_owned),
        merchant_category_code: None,
        balance_after: None,
    })
}

fn domain_code(element: &Element) -> Option<String> {
    let code = element.at("BkTxCd/Domn")?;
    let (family, sub) = (code.text_at("Fmly/Cd")?, code.text_at("Fmly/SubFmlyCd")?);
    Some(format!("{}-{family}-{sub}", code.text_at("Cd")?))
}

fn direction(entry: &Element) -> Option<CreditDebit> {
    match entry.text_at("CdtDbtInd")? {
        "CRDT" => Some(CreditDebit::Credit),
        "DBIT" => Some(CreditDebit::Debit),
        _ => None,
    }
}

/// The amount of an entry, or of one transaction of it (`Amt`, or in older versions
/// `AmtDtls/TxAmt/Amt`).
fn amount(element: &Element) -> Option<(Money, Decimal)> {
    money(element.child("Amt").or_else(|| element.at("AmtDtls/TxAmt/Amt"))?)
}

fn money(element: &Element) -> Option<(Money, Decimal)> {
    let currency: Currency = element.currency.as_deref()?.parse().ok()?;
    let number = plain_decimal(element.text.trim())?;
    Some((Money::reported(number, currency).ok()?, number))
}

/// Status and reason of the one payment of a pain.002 message.
pub(crate) fn payment_status(
    bank: &InstitutionId,
    body: &[u8],
) -> Result<(IsoPaymentStatus, Option<String>), BankError> {
    let root = parse(bank, body)?;
    let report = root.at("Document/CstmrPmtStsRpt");
    let report = report.ok_or_else(|| BankError::malformed(bank, "/Document/CstmrPmtStsRpt"))?;
    let places = [
        ("OrgnlPmtInfAndSts/TxInfAndSts/TxSts", "OrgnlPmtInfAndSts/TxInfAndSts/StsRsnInf/Rsn/Cd"),
        ("OrgnlPmtInfAndSts/PmtInfSts", "OrgnlPmtInfAndSts/StsRsnInf/Rsn/Cd"),
        ("OrgnlGrpInfAndSts/GrpSts", "OrgnlGrpInfAndSts/StsRsnInf/Rsn/Cd"),
    ];
    for (status, reason) in places {
        let Some(word) = report.text_at(status) else { continue };
        let field = || BankError::malformed(bank, format!("/Document/CstmrPmtStsRpt/{status}"));
        let status = IsoPaymentStatus::from_word(word).ok_or_else(field)?;
        return Ok((status, report.text_at(reason).map(str::to_owned)));
    }
    Err(BankError::malformed(bank, "/Document/CstmrPmtStsRpt/OrgnlGrpInfAndSts/GrpSts"))
}

/// What a pain.002 message tells of one payment.
pub(crate) struct ReportedPayment {
    /// Where, for errors.
    pub(crate) place: String,
    /// Name that the order gave it for its bank.
    pub(crate) instruction_id: Option<String>,
    /// Name that the order gave it for its creditor.
    pub(crate) end_to_end_id: Option<String>,
    /// What was ordered.
    pub(crate) amount: Option<Money>,
    /// How it stands.
    pub(crate) status: Option<IsoPaymentStatus>,
    /// Why, as the bank wrote it.
    pub(crate) iso_reason: Option<String>,
}

/// Every payment that a pain.002 message tells of by itself.
pub(crate) fn payment_statuses(bank: &InstitutionId, body: &[u8]) -> Result<Vec<ReportedPayment>, BankError> {
    let root = parse(bank, body)?;
    let report = root.at("Document/CstmrPmtStsRpt");
    let report = report.ok_or_else(|| BankError::malformed(bank, "/Document/CstmrPmtStsRpt"))?;
    let entries = report.all("OrgnlPmtInfAndSts").flat_map(|group| group.all("TxInfAndSts"));
    let read = |(index, entry): (usize, &Element)| {
        let place = format!("/Document/CstmrPmtStsRpt/TxInfAndSts/{index}");
        let wrong = |name: &str| BankError::malformed(bank, format!("{place}/{name}"));
        let status = entry.text_at("TxSts");
        let status = status.map(|word| IsoPaymentStatus::from_word(word).ok_or_else(|| wrong("TxSts")));
        let amount = entry.at("OrgnlTxRef/Amt/InstdAmt");
        let amount = amount.map(|amount| money(amount).ok_or_else(|| wrong("OrgnlTxRef/Amt/InstdAmt")));
        Ok(ReportedPayment {
            instruction_id: identifier(entry, "OrgnlInstrId"),
            end_to_end_id: identifier(entry, "OrgnlEndToEndId"),
            amount: amount.transpose()?.map(|(amount, _)| amount),
            status: status.transpose()?,
            iso_reason: entry.text_at("StsRsnInf/Rsn/Cd").map(str::to_owned),
            place,
        })
    };
    entries.enumerate().map(read).collect()
}

#[cfg(test)]
mod tests;
