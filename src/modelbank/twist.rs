//! Something wrong in the JSON of an answer, the way banks get it wrong.

use serde_json::{Map, Number, Value};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// Entries have no identifiers.
    IdsMissing,
    /// Every entry is called `NOTPROVIDED`.
    IdsPlaceholder,
    /// Every entry has the identifier of the first.
    IdsRepeated,
    /// Entries have other identifiers each time.
    IdsChanging,
    /// Amounts have the other sign.
    SignsInverted,
    /// Amounts are JSON numbers.
    AmountsAsNumbers,
    /// The text begins with a byte order mark.
    ByteOrderMark,
    /// The link to the next page leads to the same page.
    PageAgain,
    /// Every entry of a list comes twice.
    EntriesRepeated,
}

/// Members that identify an entry, in the words of the four standards.
const IDS: [&str; 6] =
    ["TransactionId", "TransactionReference", "transactionId", "entryReference", "resourceId", "itemId"];
/// Members that hold an amount.
const AMOUNTS: [&str; 2] = ["Amount", "amount"];
/// Members that hold entries.
const LISTS: [&str; 5] = ["Transaction", "booked", "pending", "transactions", "transactionsDone"];

/// The body with the twist; `path` is where it was asked for, `fresh` a text that
/// has not been before.
pub(crate) fn twisted(twist: Twist, body: &[u8], path: &str, fresh: &str) -> Vec<u8> {
    if twist == Twist::ByteOrderMark {
        return [b"\xef\xbb\xbf", body].concat();
    }
    let Ok(mut answer) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    if twist == Twist::PageAgain {
        link_to(&mut answer, path);
    } else {
        let mut first = None;
        each_object(&mut answer, &mut |object| change(twist, object, fresh, &mut first));
    }
    answer.to_string().into_bytes()
}

fn change(twist: Twist, object: &mut Map<String, Value>, fresh: &str, first: &mut Option<String>) {
    for name in IDS {
        let Some(Value::String(id)) = object.get_mut(name) else { continue };
        match twist {
            Twist::IdsPlaceholder => "NOTPROVIDED".clone_into(id),
            Twist::IdsRepeated => {
                let first = first.get_or_insert_with(|| id.clone());
                id.clone_from(first);
            }
            Twist::IdsChanging => *id = format!("{id}-{fresh}"),
            Twist::IdsMissing => {
                object.remove(name);
            }
            Twist::SignsInverted
            | Twist::AmountsAsNumbers
            | Twist::ByteOrderMark
            | Twist::PageAgain
            | Twist::EntriesRepeated => {}
        }
    }
    for name in AMOUNTS {
        let Some(Value::String(amount)) = object.get_mut(name) else { continue };
        if twist == Twist::SignsInverted {
            *amount = amount.strip_prefix('-').map_or_else(|| format!("-{amount}"), str::to_owned);
        } else if twist == Twist::AmountsAsNumbers
            && let Ok(number) = amount.parse::<Number>()
        {
            object.insert(name.to_owned(), Value::Number(number));
        }
    }
    for name in LISTS {
        if let (Twist::EntriesRepeated, Some(Value::Array(list))) = (twist, object.get_mut(name)) {
            *list = list.iter().flat_map(|entry| [entry.clone(), entry.clone()]).collect();
        }
    }
}

fn each_object(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            change(members);
            members.values_mut().for_each(|value| each_object(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| each_object(value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Writes the link to the next page, where the standard has it.
fn link_to(answer: &mut Value, path: &str) {
    if let Some(Value::Object(links)) = answer.get_mut("Links") {
        links.insert("Next".to_owned(), path.into());
    }
    let href = serde_json::json!({ "href": path });
    if let Some(Value::Object(links)) = answer.get_mut("_links") {
        links.insert("next".to_owned(), href.clone());
    }
    if let Some(Value::Object(links)) = answer.pointer_mut("/transactions/_links") {
        links.insert("next".to_owned(), href);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_wrong_in_one_way_only() {
        let entry = |id: &str, amount: &str| json!({ "TransactionId": id, "Amount": { "Amount": amount } });
        let right =
            json!({ "Data": { "Transaction": [entry("1", "5.00"), entry("2", "-7.10")] }, "Links": {} });
        let with = |twist| -> Value {
            serde_json::from_slice(&twisted(twist, right.to_string().as_bytes(), "/here", "x")).unwrap()
        };
        let list = |twist| with(twist)["Data"]["Transaction"].clone();
        assert_eq!(
            list(Twist::IdsPlaceholder),
            json!([entry("NOTPROVIDED", "5.00"), entry("NOTPROVIDED", "-7.10")])
        );
        assert_eq!(list(Twist::IdsRepeated), json!([entry("1", "5.00"), entry("1", "-7.10")]));
        assert_eq!(list(Twist::IdsChanging), json!([entry("1-x", "5.00"), entry("2-x", "-7.10")]));
        assert_eq!(list(Twist::SignsInverted), json!([entry("1", "-5.00"), entry("2", "7.10")]));
        assert_eq!(list(Twist::IdsMissing)[0], json!({ "Amount": { "Amount": "5.00" } }));
        assert_eq!(list(Twist::AmountsAsNumbers)[1]["Amount"]["Amount"], json!(-7.1));
        assert_eq!(list(Twist::EntriesRepeated).as_array().unwrap().len(), 4);
        assert_eq!(with(Twist::PageAgain)["Links"]["Next"], "/here");
        assert!(twisted(Twist::ByteOrderMark, b"{}", "", "").starts_with(b"\xef\xbb\xbf{"));
        assert_eq!(twisted(Twist::IdsMissing, b"no JSON", "", ""), b"no JSON");
    }
}
