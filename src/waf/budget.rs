//! How much of one request is inspected. What is more is refused by the caller.

/// Limits of one inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of target, headers and body together.
    pub bytes: usize,
    /// Arguments, headers and cookies together that are looked at.
    pub values: usize,
    /// Bytes that are transformed or looked through, each as often as it is; to look at a text at all counts as
    /// 128 of them, and each piece of a pattern that is found in it as 32.
    pub work: usize,
}

impl Default for Budget {
    /// 256 KiB beside 32 KiB of headers, and the texts of a batch of 500 payments, which are the work of some 13 ms;
    /// what is made to be dear is no more.
    fn default() -> Self {
        Self { bytes: 288 << 10, values: 2_560, work: 12 << 20 }
    }
}
