//! Base64, hexadecimal, digests.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{Reader, low_byte};

pub(super) fn length(input: &[u8]) -> Vec<u8> {
    input.len().to_string().into_bytes()
}

pub(super) fn sha1(input: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, input).as_ref().to_vec()
}

pub(super) fn hex_encode(input: &[u8]) -> Vec<u8> {
    hex::encode(input).into_bytes()
}

/// Pairs of digits; what is no digit counts as zero, as in C.
pub(super) fn hex_decode(input: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or(0);
    input
        .chunks_exact(2)
        .map(|pair| low_byte(pair.iter().fold(0, |number, byte| number * 16 + digit(byte))))
        .collect()
}

/// `0x41` within a text.
pub(super) fn sql_hex_decode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while !reader.rest.is_empty() {
        let mut ahead = Reader::new(reader.rest);
        let first = if ahead.take(b"0x") || ahead.take(b"0X") { ahead.hex(2) } else { None };
        let Some(first) = first else {
            output.extend(reader.next());
            continue;
        };
        output.push(low_byte(first));
        while let Some(code) = ahead.hex(2) {
            output.push(low_byte(code));
        }
        reader.rest = ahead.rest;
    }
    output
}

/// Up to the first byte that is no digit of Base64.
pub(super) fn base64_decode(input: &[u8]) -> Vec<u8> {
    decoded(input.iter().map_while(|byte| sextet(*byte)))
}

/// Past everything that is no digit of Base64.
pub(super) fn base64_decode_forgiving(input: &[u8]) -> Vec<u8> {
    decoded(input.iter().take_while(|byte| **byte != b'=').filter_map(|byte| sextet(*byte)))
}

fn decoded(sextets: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut output = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for sextet in sextets {
        bits = (bits << 6 | sextet) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            output.push(low_byte(bits >> held));
        }
    }
    output
}

fn sextet(byte: u8) -> Option<u32> {
    DIGITS.iter().zip(0..).find(|(digit, _)| **digit == byte).map(|(_, value)| value)
}

pub(super) fn base64_encode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len().div_ceil(3) * 4);
    for group in input.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).ok().and_then(|at| DIGITS.get(at));
            output.push(if place > group.len() { b'=' } else { digit.copied().unwrap_or(b'=') });
        }
    }
    output
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
