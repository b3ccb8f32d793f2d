//! The context in which a request is traced (W3C Trace Context, `traceparent`).

use std::fmt;
use std::str::FromStr;

use domain::Entropy;

/// A trace, and the span in it that something belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace: not 0.
    pub trace: u128,
    /// The span: not 0.
    pub span: u64,
    /// The span above it, if there is one.
    pub parent: Option<u64>,
    /// Whether it is kept.
    pub sampled: bool,
}

/// A header that is no context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidContext;

impl TraceContext {
    /// A trace that begins here.
    pub fn begin(entropy: &dyn Entropy, sampled: bool) -> Self {
        let mut trace = [0; 16];
        entropy.fill(&mut trace);
        let context = Self { trace: u128::from_be_bytes(trace).max(1), span: 0, parent: None, sampled };
        Self { parent: None, ..context.child(entropy) }
    }

    /// A span below this one.
    #[must_use]
    pub fn child(&self, entropy: &dyn Entropy) -> Self {
        let mut span = [0; 8];
        entropy.fill(&mut span);
        Self { span: u64::from_be_bytes(span).max(1), parent: Some(self.span), ..*self }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidContext;

    /// Reads a header of version 00, and what is the same of later ones (§3.2.2).
    fn from_str(text: &str) -> Result<Self, InvalidContext> {
        let mut parts = text.split('-');
        let mut next = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length).ok_or(InvalidContext)?;
            let plain = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            plain.then_some(part).ok_or(InvalidContext)
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(InvalidContext);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| InvalidContext)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| InvalidContext)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| InvalidContext)?;
        if trace == 0 || span == 0 {
            return Err(InvalidContext);
        }
        Ok(Self { trace, span, parent: None, sampled: flags & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use domain::SystemEntropy;

    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_as_it_was() {
        let context: TraceContext = GIVEN.parse().unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), GIVEN);
        let child = context.child(&SystemEntropy);
        assert_eq!((child.trace, child.sampled, child.parent), (context.trace, true, Some(context.span)));
        assert_ne!(child.span, context.span);
        let later = GIVEN.replace("00-4bf", "01-4bf") + "-more";
        assert_eq!(later.parse(), Ok(context), "of a later version what is known of this one");
    }

    #[test]
    fn what_is_no_context_begins_none() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidContext), "{text}");
        }
        assert_ne!(TraceContext::begin(&SystemEntropy, false), TraceContext::begin(&SystemEntropy, false));
    }
}
