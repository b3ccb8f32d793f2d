//! SWIFT MT940 statements, as German banks send them in place of JSON: fields
//! 20, 25, 28C, 60F, 61, 86 and 62F, with the structured 86 of the Deutsche
//! Kreditwirtschaft.

use connect::BankError;
use domain::{
    AccountIdentification, BookingStatus, CreditDebit, Currency, Date, Decimal, InstitutionId, Money, Pii,
    Transaction, plain_decimal,
};

use crate::berlin_group::iban_or_other;
use crate::node::is_identifier;

/// One field: its tag and its text with the line breaks it had.
struct Field<'a> {
    tag: &'a str,
    text: String,
}

/// All entries of all statements.
pub(crate) fn transactions(bank: &InstitutionId, body: &[u8]) -> Result<Vec<Transaction>, BankError> {
    // The character set is a subset of Latin-1 in practice.
    let text: String = match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => body.iter().map(|byte| char::from(*byte)).collect(),
    };
    let fields = fields(&text);
    if !fields.iter().any(|field| field.tag == "20") {
        return Err(BankError::malformed(bank, ":20:"));
    }
    let mut currency: Option<Currency> = None;
    let mut found: Vec<Transaction> = Vec::new();
    let mut open = false;
    for field in &fields {
        let malformed =
            || BankError::malformed(bank, format!(":{}: after {} entries", field.tag, found.len()));
        match field.tag {
            "60F" | "60M" => currency = Some(opening_currency(&field.text).ok_or_else(malformed)?),
            "61" => {
                let entry = entry(&field.text, currency.ok_or_else(malformed)?).ok_or_else(malformed)?;
                found.push(entry);
                open = true;
            }
            "86" if open => {
                if let Some(entry) = found.last_mut() {
                    describe(entry, &field.text);
                }
                open = false;
            }
            _ => open = false,
        }
    }
    Ok(found)
}

fn fields(text: &str) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    for line in text.lines() {
        let tagged = line.strip_prefix(':').and_then(|rest| rest.split_once(':')).filter(|(tag, _)| {
            (2..=3).contains(&tag.len()) && tag.bytes().take(2).all(|b| b.is_ascii_digit())
        });
        match (tagged, fields.last_mut()) {
            (Some((tag, rest)), _) => fields.push(Field { tag, text: rest.to_owned() }),
            (None, Some(field)) if line != "-" => {
                field.text.push('\n');
                field.text.push_str(line);
            }
            (None, _) => {}
        }
    }
    fields
}

/// `C200101EUR341175,39`: the currency.
fn opening_currency(text: &str) -> Option<Currency> {
    text.get(7..10)?.parse().ok()
}

/// Field 61: value day, booking day, direction, amount, type, references.
fn entry(text: &str, currency: Currency) -> Option<Transaction> {
    let line = text.lines().next()?;
    let value = line.get(..6)?;
    let value_date = day(value.get(..2)?, value.get(2..)?)?;
    let mut rest = line.get(6..)?;
    let mut booking_date = value_date;
    if let Some(booking) = rest.get(..4).filter(|text| text.bytes().all(|b| b.is_ascii_digit())) {
        booking_date = nearest_year(booking, value_date)?;
        rest = rest.get(4..)?;
    }
    // A reversal of a credit takes money out, of a debit gives it back.
    let marks = [
        ("RC", CreditDebit::Debit),
        ("RD", CreditDebit::Credit),
        ("C", CreditDebit::Credit),
        ("D", CreditDebit::Debit),
    ];
    let (direction, after) =
        marks.into_iter().find_map(|(mark, direction)| Some((direction, rest.strip_prefix(mark)?)))?;
    // An optional third letter of the currency stands between mark and amount.
    let after = after.strip_prefix(|c: char| c.is_ascii_uppercase()).unwrap_or(after);
    let end = after.find(|c: char| !c.is_ascii_digit() && c != ',')?;
    let (amount, after) = (after.get(..end)?, after.get(end..)?);
    let amount = Money::reported(amount_of(amount)?, currency).ok()?;
    let code = after.get(..4)?;
    let (customer, bank) = match after.get(4..)?.split_once("//") {
        Some((customer, bank)) => (customer, Some(bank)),
        None => (after.get(4..)?, None),
    };
    let identifier = |text: &str| Some(text.trim()).filter(|text| is_identifier(text)).map(str::to_owned);
    Some(Transaction {
        bank_transaction_id: bank.and_then(identifier),
        entry_reference: identifier(customer),
        end_to_end_id: None,
        mandate_id: None,
        status: BookingStatus::Booked,
        amount,
        direction,
        booking_date: Some(booking_date),
        value_date: Some(value_date),
        booked_at: None,
        creditor_name: None,
        creditor_account: None,
        debtor_name: None,
        debtor_account: None,
        remittance: Vec::new(),
        references: Vec::new(),
        bank_transaction_code: None,
        proprietary_code: Some(code.to_owned()),
        merchant_category_code: None,
        balance_after: None,
    })
}

/// `196,58` or `2000,`.
fn amount_of(text: &str) -> Option<Decimal> {
    plain_decimal(text.replace(',', ".").trim_end_matches('.'))
}

fn day(year: &str, month_and_day: &str) -> Option<Date> {
    let year: i16 = year.parse().ok()?;
    let month = month_and_day.get(..2)?.parse().ok()?;
    let day = month_and_day.get(2..4)?.parse().ok()?;
    Date::new(year.checked_add(2000)?, month, day).ok()
}

/// A booking day has no year: it is the one nearest to the value day.
fn nearest_year(month_and_day: &str, value_date: Date) -> Option<Date> {
    let month: i8 = month_and_day.get(..2)?.parse().ok()?;
    let day: i8 = month_and_day.get(2..4)?.parse().ok()?;
    let apart = i16::from(month).checked_sub(i16::from(value_date.month()))?;
    let shift: i16 = if apart > 6 { -1 } else { i16::from(apart < -6) };
    Date::new(value_date.year().checked_add(shift)?, month, day).ok()
}

/// Field 86: `166?00text?20…?29 and ?60…?63 purpose?30 bank?31 account?32?33 name`.
/// The line breaks fall anywhere and mean nothing.
fn describe(entry: &mut Transaction, text: &str) {
    let joined: String = text.split('\n').collect();
    let mut parts = joined.split('?');
    let head = parts.next().unwrap_or_default();
    let (mut name, mut purpose, mut account) = (String::new(), Vec::new(), String::new());
    let mut structured = false;
    for part in parts {
        let (Some(code), Some(value)) = (part.get(..2), part.get(2..)) else { continue };
        structured = true;
        let value = value.trim();
        match code {
            "00" => {}
            "20" | "21" | "22" | "23" | "24" | "25" | "26" | "27" | "28" | "29" | "60" | "61" | "62"
            | "63" => {
                purpose.push(value.to_owned());
            }
            "31" => value.clone_into(&mut account),
            "32" | "33" => name.push_str(value),
            _ => {}
        }
    }
    if !structured {
        entry.remittance.push(head.trim().to_owned().into());
        entry.remittance.retain(|line| !line.is_empty());
        return;
    }
    purpose.retain(|line| !line.is_empty());
    for line in &purpose {
        if let Some(reference) = line.strip_prefix("EREF+") {
            entry.end_to_end_id =
                Some(reference.trim().to_owned()).filter(|text| is_identifier(text)).map(Pii::from);
        }
        if let Some(reference) = line.strip_prefix("MREF+") {
            entry.mandate_id = Some(reference.trim().to_owned()).filter(|text| is_identifier(text));
        }
    }
    entry.remittance = purpose.into_iter().map(Pii::from).collect();
    let name = Some(name).filter(|name| !name.is_empty()).map(Pii::from);
    let starts_with_country = account.bytes().take(2).all(|b| b.is_ascii_uppercase());
    let account = Some(account).filter(|text| is_identifier(text)).map(|text| {
        if starts_with_country { iban_or_other(text) } else { AccountIdentification::Bban(text) }
    });
    match entry.direction {
        CreditDebit::Credit => (entry.debtor_name, entry.debtor_account) = (name, account),
        CreditDebit::Debit => (entry.creditor_name, entry.creditor_account) = (name, account),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_booked_across_the_turn_of_the_year_gets_its_own_year() {
        let bank: InstitutionId = "de-examplebank".parse().unwrap();
        let text = ":20:S\n:60F:C191231EUR1,00\n:61:2001021231D196,58NMSC123//456\n\
                    :86:004?00DIRECT DEBIT?20EREF+E1?21SHOE\nS?3100289304?32ACME";
        let found = transactions(&bank, text.as_bytes()).unwrap();
        let entry = &found[0];
        assert_eq!(entry.value_date, Some(Date::constant(2020, 1, 2)));
        assert_eq!(entry.booking_date, Some(Date::constant(2019, 12, 31)));
        assert_eq!(entry.direction, CreditDebit::Debit);
        assert_eq!(entry.amount.to_string(), "196.58 EUR");
        assert_eq!(entry.remittance, ["EREF+E1", "SHOES"]);
        assert_eq!(entry.end_to_end_id.as_deref(), Some("E1"));
        assert_eq!(entry.creditor_name.as_deref(), Some("ACME"));
        assert_eq!(entry.bank_transaction_id.as_deref(), Some("456"));
    }

    #[test]
    fn a_statement_that_is_cut_off_names_its_field() {
        let bank: InstitutionId = "de-examplebank".parse().unwrap();
        let error = transactions(&bank, b":20:S\n:60F:C191231EUR1,00\n:61:2001").unwrap_err();
        assert_eq!(error.field.as_deref(), Some(":61: after 0 entries"));
    }
}
