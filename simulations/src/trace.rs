//! The hash of a run: two runs of a seed must have the same.

/// FNV-1a (Fowler, Noll and Vo), 64 bits.
#[derive(Clone, Debug)]
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds a number.
    pub fn number(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x0100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }

    /// Current value.
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// The trace of a run: always hashed, printed on request.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: Hash,
    print: bool,
    off: bool,
}

impl Trace {
    /// A trace, printed on stderr on request.
    pub fn new(print: bool) -> Trace {
        Trace {
            hash: Hash::default(),
            print,
            off: false,
        }
    }

    /// A trace that records nothing, for large runs.
    pub fn off() -> Trace {
        Trace {
            off: true,
            ..Trace::default()
        }
    }

    /// Records an event. The numbers are hashed; the text is created only if it is printed.
    pub fn note(&mut self, numbers: &[u64], text: impl FnOnce() -> String) {
        if self.off {
            return;
        }
        numbers.iter().for_each(|n| self.hash.number(*n));
        if self.print {
            eprintln!("{}", text());
        }
    }

    /// Current value.
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }
}
