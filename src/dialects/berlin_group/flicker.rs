//! Flicker codes of card readers (HHD_UC of Die Deutsche Kreditwirtschaft, 1.3.2 and 1.4):
//! what a reader would see flicker on a screen, read as what a person types into it. So
//! nothing has to flicker, and whoever does not see it is served like anybody else.

/// The bit of a length that says that control bytes follow (1.4).
const CONTROL: u8 = 0x80;
/// Most data elements behind the start code.
const MOST_ELEMENTS: usize = 3;

/// Start code and data elements of a flicker code, in the order in which a reader wants
/// them; `None` if this is none, whole and with the right checksum.
pub(super) fn typed(code: &str) -> Option<Vec<String>> {
    let nibbles: Vec<u8> = code.chars().map(digit).collect::<Option<_>>()?;
    // Before the last one is a check digit of the numbers alone, which says no more.
    let (summed, [_, sum]) = nibbles.split_last_chunk()?;
    if summed.iter().fold(0, |xor, nibble| xor ^ nibble) != *sum {
        return None;
    }
    let bytes: Vec<u8> = nibbles.chunks_exact(2).filter_map(byte).collect();
    let (length, rest) = bytes.split_first()?;
    if !nibbles.len().is_multiple_of(2) || usize::from(*length) != rest.len() {
        return None;
    }
    // The last one holds the checksums.
    let (_, elements) = rest.split_last()?;
    let newer = elements.first()? & CONTROL != 0;
    let (start, mut rest) = element(elements, newer)?;
    let mut typed = vec![start];
    while !rest.is_empty() {
        let (text, after) = element(rest, newer)?;
        typed.push(text);
        rest = after;
    }
    (typed.len() <= MOST_ELEMENTS + 1).then_some(typed)
}

/// One element, and what is behind it. Its length tells how it is written: the older
/// version keeps four bits for the number of bytes, the newer six.
fn element(bytes: &[u8], newer: bool) -> Option<(String, &[u8])> {
    let (length, mut rest) = bytes.split_first()?;
    let mut follows = length & CONTROL != 0;
    while follows {
        let (control, after) = rest.split_first()?;
        follows = control & CONTROL != 0;
        rest = after;
    }
    let (of_bytes, as_text) = if newer { (0x3f, 0x40) } else { (0x0f, 0x10) };
    let (value, rest) = rest.split_at_checked(usize::from(length & of_bytes))?;
    let text = if length & as_text != 0 { plain(value)? } else { decimal(value)? };
    (!text.is_empty()).then_some((text, rest))
}

/// Digits, two a byte; an odd number of them is filled up with an F.
fn decimal(value: &[u8]) -> Option<String> {
    let nibbles: Vec<u8> = value.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).collect();
    let digits = nibbles.strip_suffix(&[0x0f]).unwrap_or(&nibbles);
    digits.iter().map(|digit| char::from_digit(u32::from(*digit), 10)).collect()
}

fn plain(value: &[u8]) -> Option<String> {
    let shown = value.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    shown.then(|| value.iter().copied().map(char::from).collect())
}

fn digit(text: char) -> Option<u8> {
    text.to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn byte(pair: &[u8]) -> Option<u8> {
    let [high, low] = pair else { return None };
    Some((high << 4) | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both versions, digits and text, an odd number of digits, and no data element.
    #[test]
    fn a_flicker_code_is_read_as_what_a_person_types() {
        for (code, expected) in [
            ("11048714955205123456789F14302C303107", vec!["87149552", "123456789", "0,01"]),
            ("0F04871100030333555414312C32331D", vec!["87110003", "335554", "1,23"]),
            ("070520829019981A", vec!["2082901998"]),
            // Start code by a control byte, amount as text.
            ("0E840187112233040010017F413006", vec!["87112233", "0010017", "0"]),
        ] {
            assert_eq!(typed(code), Some(expected.into_iter().map(str::to_owned).collect()), "{code}");
        }
    }

    /// What a bank gives as plain digits stays as it is.
    #[test]
    fn what_is_no_flicker_code_is_not_read_as_one() {
        for other in [
            "",
            "7",
            "87112233445566",
            "10017",
            "TAN",
            // Another checksum, another length, an odd number of digits, too long an element.
            "11048714955205123456789F14302C303108",
            "12048714955205123456789F14302C303104",
            "11048714955205123456789F14302C3031070",
            "02FF02",
        ] {
            assert_eq!(typed(other), None, "{other}");
        }
    }
}
