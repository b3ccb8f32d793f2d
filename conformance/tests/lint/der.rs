//! DER by hand, so that it can also be wrong.

pub fn tlv(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    let length = content.len();
    if let Ok(short) = u8::try_from(length)
        && short < 0x80
    {
        out.push(short);
    } else {
        let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|&o| o == 0).collect();
        out.push(0x80 | u8::try_from(octets.len()).unwrap());
        out.extend(octets);
    }
    out.extend(content);
    out
}

pub fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, parts)
}

pub fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x31, parts)
}

pub fn octets(content: Vec<u8>) -> Vec<u8> {
    tlv(0x04, &[content])
}

pub fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, &[text.as_bytes().to_vec()])
}

pub fn printable(text: &str) -> Vec<u8> {
    tlv(0x13, &[text.as_bytes().to_vec()])
}

pub fn ia5(text: &str) -> Vec<u8> {
    tlv(0x16, &[text.as_bytes().to_vec()])
}

pub fn arcs(dotted: &str) -> Vec<u64> {
    dotted.split('.').map(|arc| arc.parse().unwrap()).collect()
}

pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs = arcs(dotted);
    let mut content = Vec::new();
    let joined = std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied());
    for arc in joined {
        let mut octets = vec![u8::try_from(arc & 0x7f).unwrap()];
        let mut rest = arc >> 7;
        while rest > 0 {
            octets.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        octets.reverse();
        content.extend(octets);
    }
    tlv(0x06, &[content])
}

/// The values in a row, each whole.
pub fn children(content: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (header, length) = header(rest);
        found.push(rest[..header + length].to_vec());
        rest = &rest[header + length..];
    }
    found
}

/// What is in a value.
pub fn content(whole: &[u8]) -> &[u8] {
    let (header, length) = header(whole);
    &whole[header..header + length]
}

fn header(bytes: &[u8]) -> (usize, usize) {
    if bytes[1] < 0x80 {
        return (2, usize::from(bytes[1]));
    }
    let octets = usize::from(bytes[1] & 0x7f);
    let length = bytes[2..2 + octets].iter().fold(0, |sum, &o| (sum << 8) | usize::from(o));
    (2 + octets, length)
}
