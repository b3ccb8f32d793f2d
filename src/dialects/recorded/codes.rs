//! Which members of banks' answers hold codes: words of a standard, which say
//! nothing of a person.

/// Names of members that hold codes, in lower case and without separators.
const MEMBERS: [&str; 41] = [
    "accountcategory",
    "accountholdertype",
    "accountsubtype",
    "accounttype",
    "accounttypecode",
    "authenticationtype",
    "balancestatus",
    "balancetype",
    "banktransactioncode",
    "bookingstatus",
    "cashaccounttype",
    "category",
    "chargebearer",
    "code",
    "consentstatus",
    "country",
    "creditdebitindicator",
    "currency",
    "errorcode",
    "instructedcurrency",
    "mcc",
    "merchantcategorycode",
    "mutability",
    "permissions",
    "psustatus",
    "purposecode",
    "recurringindicator",
    "scaapproach",
    "scastatus",
    "schemename",
    "sourcecurrency",
    "statetype",
    "status",
    "statusupdatereasoncode",
    "subcode",
    "switchstatus",
    "targetcurrency",
    "transactioncategory",
    "transactionstatus",
    "transactiontype",
    "type",
];

/// Longest code that any of the standards has.
const LONGEST: usize = 48;
/// Digits that a code may have; more are a number of something.
const MOST_DIGITS: usize = 4;

/// Whether `text` is a code: the member holds codes, and it looks like one.
pub(super) fn is_code(member: &str, text: &str) -> bool {
    let member: String = member.chars().filter(char::is_ascii_alphanumeric).collect();
    let known = MEMBERS.binary_search(&member.to_ascii_lowercase().as_str()).is_ok();
    let shaped = text.len() <= LONGEST
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte))
        && text.bytes().filter(u8::is_ascii_digit).count() <= MOST_DIGITS;
    known && shaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_one_by_its_member_and_by_its_looks() {
        assert!(MEMBERS.is_sorted());
        assert!(is_code("Currency", "GBP") && is_code("SchemeName", "UK.OBIE.IBAN"));
        assert!(
            is_code("credit_debit_indicator", "CRDT") && is_code("bankTransactionCode", "PMNT-RCDT-ESCT")
        );
        assert!(!is_code("Nickname", "GBP"), "a member that nobody has listed");
        assert!(!is_code("type", "Anna Whitfield") && !is_code("status", "DE17999100001000000017"));
    }
}
