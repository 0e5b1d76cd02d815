//! When an entry changed last: in which generation of its table, and, with a [time to live](crate::state::ttl), at what time.

/// When an entry changed last, whether a snapshot has it, and whether it has been written to of late. In one number, so that time costs no room:
///
/// ```text
/// known: 1 | used: 1 | generation: 20 | milliseconds since 1970, with a time to live: 42
/// ```
///
/// Generations are cut to 20 bits. So that none is taken for one that was a million snapshots ago, a page whose generation began
/// with other high bits is gone through when it is next written to (`Page::begin`), and its entries get generation 0,
/// which no snapshot has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(u64);

const TIME_BITS: u32 = 42;
pub(super) const GENERATION_BITS: u32 = 20;
const TIME: u64 = (1 << TIME_BITS) - 1;
const GENERATION: u64 = ((1 << GENERATION_BITS) - 1) << TIME_BITS;

/// When something changes: in which generation of the table, and at what time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    generation: u64,
    /// What a stamp says of it.
    bits: u64,
    /// What was last written before this time (milliseconds) has expired; 0 without a time to live.
    pub(super) alive_from: u64,
}

impl Moment {
    /// Of generation 0: what is put in is no change, as it comes out of a checkpoint.
    pub(super) fn of_restore(self) -> Self {
        Self { generation: 0, bits: self.bits & TIME, ..self }
    }

    pub(super) fn new(generation: u64, now: u64, alive_from: u64) -> Self {
        let bits = Stamp::USED | generation << TIME_BITS & GENERATION | now.min(TIME);
        Self { generation, bits, alive_from: alive_from.min(TIME) }
    }

    #[inline]
    pub(super) fn generation(self) -> u64 {
        self.generation
    }

    /// The generation after this.
    pub(super) fn next(generation: u64) -> u64 {
        let next = generation + 1;
        // Those whose low bits are 0 are left out.
        next + u64::from(next.trailing_zeros() >= GENERATION_BITS)
    }
}

impl Stamp {
    const KNOWN: u64 = 1 << 63;
    const USED: u64 = 1 << 62;

    pub(super) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Whether the entry has been written to since this was asked last.
    pub(super) fn take_used(&mut self) -> bool {
        let used = self.0 & Self::USED != 0;
        self.0 &= !Self::USED;
        used
    }

    /// Of an entry that is new.
    #[inline]
    pub(super) fn new(moment: Moment) -> Self {
        Self(moment.bits)
    }

    /// Of an entry that came out of a checkpoint, where it was written last at `time`. Generations begin with 1.
    pub(super) fn restored(time: u64) -> Self {
        Self(Self::KNOWN | time.min(TIME))
    }

    /// Whether the entry has changed in this generation.
    #[inline]
    pub(super) fn is_of(self, moment: Moment) -> bool {
        (self.0 ^ moment.bits) & GENERATION == 0
    }

    /// Whether a snapshot before this generation has the entry.
    #[inline]
    pub(super) fn is_known(self, moment: Moment) -> bool {
        self.0 & Self::KNOWN != 0 || !self.is_of(moment)
    }

    /// Whether the entry has not expired. Without a time to live none ever does.
    #[inline]
    pub(super) fn is_alive(self, alive_from: u64) -> bool {
        self.time() >= alive_from
    }

    /// When the entry was written last (milliseconds); 0 without a time to live.
    #[inline]
    pub(super) fn time(self) -> u64 {
        self.0 & TIME
    }

    /// The entry changes now. Returns whether that is the first time in this generation.
    #[inline]
    pub(super) fn touch(&mut self, moment: Moment) -> bool {
        let first = !self.is_of(moment);
        self.0 = moment.bits | if first { Self::KNOWN } else { self.0 & Self::KNOWN };
        first
    }

    /// Its generation is long over.
    pub(super) fn settle(&mut self) {
        self.0 = self.0 & !GENERATION | Self::KNOWN;
    }
}
