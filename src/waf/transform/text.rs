//! Spaces, comments, paths and command lines.

use super::{Reader, is_space};

pub(super) fn remove_nulls(input: &[u8]) -> Vec<u8> {
    without(input, |byte| byte == 0)
}

/// All but some bytes.
fn without(input: &[u8], left_out: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    output.extend(input.iter().copied().filter(|byte| !left_out(*byte)));
    output
}

pub(super) fn replace_nulls(input: &[u8]) -> Vec<u8> {
    input.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

pub(super) fn remove_whitespace(input: &[u8]) -> Vec<u8> {
    without(input, is_space)
}

/// Each run of spaces becomes one.
pub(super) fn compress_whitespace(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut spaced = false;
    for byte in input {
        let space = is_space(*byte);
        if !space {
            output.push(*byte);
        } else if !spaced {
            output.push(b' ');
        }
        spaced = space;
    }
    output
}

pub(super) fn trim(input: &[u8]) -> Vec<u8> {
    trim_left(&trim_right(input))
}

pub(super) fn trim_left(input: &[u8]) -> Vec<u8> {
    input.iter().copied().skip_while(|byte| is_space(*byte)).collect()
}

pub(super) fn trim_right(input: &[u8]) -> Vec<u8> {
    let trailing = input.iter().rev().take_while(|byte| is_space(**byte)).count();
    input.get(..input.len() - trailing).unwrap_or_default().to_vec()
}

/// A comment of C becomes a space, an open one too.
pub(super) fn replace_comments(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while !reader.rest.is_empty() {
        if reader.take(b"/*") {
            skip_past(&mut reader, b"*/");
            output.push(b' ');
        } else {
            output.extend(reader.next());
        }
    }
    output
}

/// Comments of C, HTML, SQL and shells are gone; one that opens and has no end
/// takes the rest with it.
pub(super) fn remove_comments(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while !reader.rest.is_empty() {
        if reader.take(b"/*") {
            skip_past(&mut reader, b"*/");
        } else if reader.take(b"<!--") {
            skip_past(&mut reader, b"-->");
        } else if reader.take(b"--") || reader.take(b"#") {
            break;
        } else {
            output.extend(reader.next());
        }
    }
    output
}

/// Only the marks of comments are gone.
pub(super) fn remove_comment_marks(input: &[u8]) -> Vec<u8> {
    const MARKS: [&[u8]; 6] = [b"/*", b"*/", b"<!--", b"-->", b"--", b"#"];
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while !reader.rest.is_empty() {
        if !MARKS.iter().any(|mark| reader.take(mark)) {
            output.extend(reader.next());
        }
    }
    output
}

fn skip_past(reader: &mut Reader<'_>, end: &[u8]) {
    let at = reader.rest.windows(end.len()).position(|window| window == end);
    reader.skip(at.map_or(reader.rest.len(), |at| at + end.len()));
}

/// What shells overlook: quotes, carets and backslashes, runs of separators,
/// spaces before `/` and `(`, case.
pub(super) fn command_line(input: &[u8]) -> Vec<u8> {
    let mut output: Vec<u8> = Vec::with_capacity(input.len());
    let mut spaced = false;
    for byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !spaced {
                    output.push(b' ');
                }
                spaced = true;
            }
            b'/' | b'(' => {
                if spaced {
                    output.pop();
                }
                spaced = false;
                output.push(*byte);
            }
            other => {
                spaced = false;
                output.push(other.to_ascii_lowercase());
            }
        }
    }
    output
}

/// `/a//./b/../c` becomes `/a/c`.
pub(super) fn normalize_path(input: &[u8]) -> Vec<u8> {
    let absolute = input.first() == Some(&b'/');
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut directory = false;
    for segment in input.split(|byte| *byte == b'/') {
        directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." if segments.last().is_some_and(|last| *last != b"..") => {
                segments.pop();
            }
            // Above the root there is nothing; above a relative path there is.
            b".." if absolute => {}
            other => segments.push(other),
        }
    }
    let mut output = Vec::with_capacity(input.len());
    if absolute {
        output.push(b'/');
    }
    output.extend(segments.join(&b'/'));
    let trailing = directory && !segments.is_empty() && segments.last().is_none_or(|last| *last != b"..");
    if trailing && input.contains(&b'/') {
        output.push(b'/');
    }
    output
}

pub(super) fn normalize_path_windows(input: &[u8]) -> Vec<u8> {
    let forward: Vec<u8> = input.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    normalize_path(&forward)
}
