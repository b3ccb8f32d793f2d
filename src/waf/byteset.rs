//! Sets of bytes and of small numbers, as bits.

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSet {
    words: [u64; 4],
}

impl ByteSet {
    /// Every byte.
    pub const FULL: Self = Self { words: [u64::MAX; 4] };

    /// The bytes of a text.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut set = Self::default();
        bytes.iter().for_each(|byte| set.insert(*byte));
        set
    }

    /// A set of ASCII characters, for constants.
    #[must_use]
    pub const fn ascii(text: &[u8]) -> Self {
        let (mut low, mut high) = (0_u64, 0_u64);
        let mut rest = text;
        while let [first, tail @ ..] = rest {
            if *first < 64 {
                low |= 1 << *first;
            } else {
                high |= 1 << (*first & 63);
            }
            rest = tail;
        }
        Self { words: [low, high, 0, 0] }
    }

    /// All that are in one of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.words, other.words);
        Self { words: [a | e, b | f, c | g, d | h] }
    }

    /// Bytes from 128.
    pub const HIGH: Self = Self { words: [0, 0, u64::MAX, u64::MAX] };
    /// A to Z.
    pub const UPPER: Self = Self { words: [0, 0x07ff_fffe, 0, 0] };
    /// a to z.
    pub const LOWER: Self = Self { words: [0, 0x07ff_fffe << 32, 0, 0] };

    /// Puts a byte in.
    pub fn insert(&mut self, byte: u8) {
        if let Some(word) = self.words.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    /// Whether a byte is in it.
    #[must_use]
    pub fn contains(&self, byte: u8) -> bool {
        self.words.get(usize::from(byte >> 6)).is_some_and(|word| word & (1 << (byte & 63)) != 0)
    }

    /// Whether both have a byte in common.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.words.iter().zip(other.words).any(|(one, two)| one & two != 0)
    }

    /// Whether every byte of this is in the other.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        self.words.iter().zip(other.words).all(|(one, two)| one & !two == 0)
    }

    /// How many bytes are in it.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// With a to z for A to Z.
    #[must_use]
    pub fn folded(mut self) -> Self {
        let [_, letters, ..] = &mut self.words;
        let upper = *letters & 0x07ff_fffe;
        *letters = (*letters & !0x07ff_fffe) | (upper << 32);
        self
    }

    /// The bytes in their order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + use<'_> {
        bits(self.words.into_iter()).filter_map(|bit| u8::try_from(bit).ok())
    }
}

impl Extend<u8> for ByteSet {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        bytes.into_iter().for_each(|byte| self.insert(byte));
    }
}

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    pub(crate) fn with_room(numbers: usize) -> Self {
        Self { words: vec![0; numbers.div_ceil(64)] }
    }

    pub(crate) fn make_room(&mut self, numbers: usize) {
        self.words.resize(self.words.len().max(numbers.div_ceil(64)), 0);
    }

    pub(crate) fn insert(&mut self, number: usize) {
        if let Some(word) = self.words.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        has_bit(&self.words, number)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.add_words(&other.words);
    }

    /// Adds a set of as many words.
    pub(crate) fn add_words(&mut self, words: &[u64]) {
        self.words.iter_mut().zip(words).for_each(|(one, two)| *one |= two);
    }

    pub(crate) fn become_like(&mut self, other: &Self) {
        self.words.clone_from(&other.words);
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// What is in both.
    pub(crate) fn common<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = usize> + use<'s> {
        bits(self.words.iter().zip(&other.words).map(|(one, two)| one & two))
    }
}

/// Whether the bit of a number is set.
pub(crate) fn has_bit(words: &[u64], number: usize) -> bool {
    words.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
}

/// The places of the bits that are set.
fn bits(words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    words.enumerate().flat_map(|(at, word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = usize::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
            rest &= rest - 1;
            Some(at * 64 + bit)
        })
    })
}
