//! Words of the UK standard, which its versions have differently: `${payments:awaiting}`.

use serde_json::{Value, json};

/// Name, word of version 4.0, word of version 3.1 (`OB_Internal_Codeset`; 3.1 "Enumerations").
const WORDS: [(&str, &str, &str); 30] = [
    ("awaiting", "AWAU", "AwaitingAuthorisation"),
    ("authorised", "AUTH", "Authorised"),
    ("rejected", "RJCT", "Rejected"),
    ("consumed", "COND", "Consumed"),
    ("upload", "AWUP", "AwaitingUpload"),
    ("Field.Expected", "U001", "UK.OBIE.Field.Expected"),
    ("Field.Invalid", "U002", "UK.OBIE.Field.Invalid"),
    ("Field.InvalidDate", "U003", "UK.OBIE.Field.InvalidDate"),
    ("Field.Missing", "U004", "UK.OBIE.Field.Missing"),
    ("Field.Unexpected", "U005", "UK.OBIE.Field.Unexpected"),
    ("Header.Invalid", "U006", "UK.OBIE.Header.Invalid"),
    ("Header.Missing", "U007", "UK.OBIE.Header.Missing"),
    ("Resource.ConsentMismatch", "U008", "UK.OBIE.Resource.ConsentMismatch"),
    ("Resource.InvalidConsentStatus", "U009", "UK.OBIE.Resource.InvalidConsentStatus"),
    ("Resource.InvalidFormat", "U010", "UK.OBIE.Resource.InvalidFormat"),
    ("Resource.NotFound", "U011", "UK.OBIE.Resource.NotFound"),
    ("Rules.AfterCutOffDateTime", "U012", "UK.OBIE.Rules.AfterCutOffDateTime"),
    ("Rules.DuplicateReference", "U013", "UK.OBIE.Rules.DuplicateReference"),
    ("Rules.FailsControlParameters", "U014", "UK.OBIE.Rules.FailsControlParameters"),
    ("Signature.Invalid", "U015", "UK.OBIE.Signature.Invalid"),
    ("Signature.InvalidClaim", "U016", "UK.OBIE.Signature.InvalidClaim"),
    ("Signature.MissingClaim", "U017", "UK.OBIE.Signature.MissingClaim"),
    ("Signature.Malformed", "U018", "UK.OBIE.Signature.Malformed"),
    ("Signature.Missing", "U019", "UK.OBIE.Signature.Missing"),
    ("Signature.Unexpected", "U020", "UK.OBIE.Signature.Unexpected"),
    ("Unsupported.AccountIdentifier", "U021", "UK.OBIE.Unsupported.AccountIdentifier"),
    ("Unsupported.Currency", "U023", "UK.OBIE.Unsupported.Currency"),
    ("Unsupported.Frequency", "U025", "UK.OBIE.Unsupported.Frequency"),
    ("Unsupported.Scheme", "U027", "UK.OBIE.Unsupported.Scheme"),
    ("Reauthenticate", "U028", "UK.OBIE.Reauthenticate"),
];

/// The words of one version, and the shapes in which it asks.
pub(crate) fn words(v4: bool) -> Vec<(&'static str, Value)> {
    let pick = |four: &'static str, three: &'static str| if v4 { four } else { three };
    let mut words: Vec<_> =
        WORDS.iter().map(|(name, four, three)| (*name, json!(pick(four, three)))).collect();
    let payee = json!({
        "SchemeName": "${creditor_scheme}", "Identification": "${creditor_account}", "Name": "${creditor_name}",
    });
    let money = json!({"Amount": "1.00", "Currency": "${currency}"});
    let (mandate, wrong) = ("${frequency}", "foobar");
    for (name, frequency) in [("standing_order", mandate), ("standing_order_wrong", wrong)] {
        words.push((name, if v4 {
            json!({
                "MandateRelatedInformation": {
                    "FirstPaymentDateTime": "${first_day}", "Frequency": {"Type": frequency},
                },
                "FirstPaymentAmount": money, "CreditorAccount": payee,
            })
        } else {
            json!({
                "Frequency": frequency, "FirstPaymentDateTime": "${first_day}", "FirstPaymentAmount": money,
                "CreditorAccount": payee,
            })
        }));
    }
    words.push((
        "remittance",
        if v4 {
            json!({"Unstructured": ["Conformance"]})
        } else {
            json!({"Reference": "Conformance", "Unstructured": "Conformance"})
        },
    ));
    words
}
