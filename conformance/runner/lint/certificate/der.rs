//! DER, read as far as it goes.
//!
//! The strict reader says that something is wrong. This one says what it is: it takes any tag
//! at any place and leaves the judgement to its caller.

/// One value: its tag, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const TELETEX_STRING: u8 = 0x14;
pub(super) const IA5_STRING: u8 = 0x16;
pub(super) const VISIBLE_STRING: u8 = 0x1a;
pub(super) const BMP_STRING: u8 = 0x1e;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

const CONSTRUCTED: u8 = 0x20;

impl<'a> Node<'a> {
    /// The value at the beginning, and what comes after it.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&tag, rest) = bytes.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if octets.is_empty() || octets.len() > 4 {
                return None;
            }
            let length = octets.iter().fold(0_usize, |sum, &o| (sum << 8) | usize::from(o));
            (length, rest)
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = bytes.get(..bytes.len() - after.len())?;
        Some((Self { tag, content, whole }, after))
    }

    /// The value, if it is all there is.
    pub(super) fn only(bytes: &'a [u8]) -> Option<Self> {
        Self::read(bytes).filter(|(_, rest)| rest.is_empty()).map(|(node, _)| node)
    }

    /// What a constructed value is made of; nothing if it cannot be read to its end.
    pub(super) fn children(&self) -> Vec<Self> {
        if self.tag & CONSTRUCTED == 0 { Vec::new() } else { Self::all(self.content).unwrap_or_default() }
    }

    /// The values in a row that these bytes hold.
    fn all(mut bytes: &'a [u8]) -> Option<Vec<Self>> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (node, rest) = Self::read(bytes)?;
            found.push(node);
            bytes = rest;
        }
        Some(found)
    }

    pub(super) fn is_list(&self) -> bool {
        self.tag == SEQUENCE || self.tag == SET
    }

    /// The object identifier, dotted.
    pub(super) fn oid(&self) -> Option<String> {
        if self.tag != OID {
            return None;
        }
        let mut arcs = Vec::new();
        let mut arc = 0_u64;
        for (at, &octet) in self.content.iter().enumerate() {
            arc = arc.checked_mul(128)?.checked_add(u64::from(octet & 0x7f))?;
            if octet & 0x80 != 0 {
                if at + 1 == self.content.len() {
                    return None;
                }
                continue;
            }
            if arcs.is_empty() {
                let root = (arc / 40).min(2);
                arcs.push(root.to_string());
                arcs.push((arc - root * 40).to_string());
            } else {
                arcs.push(arc.to_string());
            }
            arc = 0;
        }
        if arcs.is_empty() { None } else { Some(arcs.join(".")) }
    }

    /// The text of a string of any kind.
    pub(super) fn text(&self) -> Option<String> {
        match self.tag {
            UTF8_STRING | PRINTABLE_STRING | IA5_STRING | VISIBLE_STRING => {
                Some(String::from_utf8_lossy(self.content).into_owned())
            }
            TELETEX_STRING => Some(self.content.iter().map(|&o| char::from(o)).collect()),
            BMP_STRING => {
                let units = self.content.chunks(2).map(|pair| match pair {
                    [high, low] => u16::from_be_bytes([*high, *low]),
                    _ => u16::from(b'?'),
                });
                Some(char::decode_utf16(units).map(|c| c.unwrap_or('?')).collect())
            }
            _ => None,
        }
    }

    /// What kind of string it is.
    pub(super) fn kind(&self) -> &'static str {
        match self.tag {
            UTF8_STRING => "UTF8String",
            PRINTABLE_STRING => "PrintableString",
            TELETEX_STRING => "TeletexString",
            IA5_STRING => "IA5String",
            VISIBLE_STRING => "VisibleString",
            BMP_STRING => "BMPString",
            OCTET_STRING => "OCTET STRING",
            SEQUENCE => "SEQUENCE",
            SET => "SET",
            _ => "value of another type",
        }
    }

    /// The simple values inside, in order, octet strings that hold DER opened.
    pub(super) fn leaves(&self) -> Vec<Self> {
        let mut found = Vec::new();
        self.gather(&mut found, 0);
        found
    }

    fn gather(&self, found: &mut Vec<Self>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let inner = if self.tag & CONSTRUCTED != 0 {
            Self::all(self.content)
        } else if self.tag == OCTET_STRING {
            Self::only(self.content).filter(Self::is_list).map(|node| vec![node])
        } else {
            None
        };
        match inner {
            Some(children) => children.iter().for_each(|child| child.gather(found, depth + 1)),
            None => found.push(*self),
        }
    }
}

const MAX_DEPTH: usize = 16;
