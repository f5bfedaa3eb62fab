//! The small values that a summary is made of: eight bytes each, absent or not.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Deref;

use compact_str::CompactString;
use jiff::Timestamp;

/// A count that may be absent: bytes, inodes, nanoseconds, faults, as the field that holds it says.
///
/// Absent is not zero. The whole takes eight bytes, where an `Option<u64>` takes sixteen: a summary is mostly these.
/// The one value that it can't hold is `u64::MAX`, which in the kubelet's documents stands for a counter that
/// underflowed; it is read as absent.
///
/// ```
/// use kubelet_summary::schema::Amount;
///
/// assert_eq!(Amount::of(0).get(), Some(0));
/// assert_eq!(Amount::ABSENT.get(), None);
/// assert_eq!(Amount::default(), Amount::ABSENT);
/// assert_eq!(size_of::<Amount>(), 8);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Amount(Option<NonZeroU64>);

impl Amount {
    /// Nothing is known.
    pub const ABSENT: Self = Self(None);

    /// A known value; `u64::MAX` becomes [`Amount::ABSENT`].
    pub const fn of(value: u64) -> Self {
        Self(NonZeroU64::new(!value))
    }

    /// The value, unless it is absent.
    pub const fn get(self) -> Option<u64> {
        match self.0 {
            Some(inverted) => Some(!inverted.get()),
            None => None,
        }
    }

    /// Whether there is no value.
    pub const fn is_absent(self) -> bool {
        self.0.is_none()
    }
}

impl From<Option<u64>> for Amount {
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::ABSENT, Self::of)
    }
}

impl From<u64> for Amount {
    fn from(value: u64) -> Self {
        Self::of(value)
    }
}

impl From<Amount> for Option<u64> {
    fn from(amount: Amount) -> Self {
        amount.get()
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => value.fmt(f),
            None => f.write_str("absent"),
        }
    }
}

/// A percentage with two decimals, as the kernel gives them for pressure (`avg10=1.23`), that may be absent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hundredths(u16);

impl Hundredths {
    /// Nothing is known.
    pub const ABSENT: Self = Self(u16::MAX);

    /// The nearest hundredth of `percent`; absent where it is negative, not finite, or above 655.
    pub fn of(percent: f64) -> Self {
        let hundredths = (percent * 100.0).round();
        if (0.0..f64::from(u16::MAX)).contains(&hundredths) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range, as checked")]
            return Self(hundredths as u16);
        }
        Self::ABSENT
    }

    /// The percentage, unless it is absent.
    pub fn get(self) -> Option<f64> {
        (self != Self::ABSENT).then(|| f64::from(self.0) / 100.0)
    }
}

impl Default for Hundredths {
    fn default() -> Self {
        Self::ABSENT
    }
}

impl fmt::Debug for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => value.fmt(f),
            None => f.write_str("absent"),
        }
    }
}

/// A moment: nanoseconds since 1970-01-01 UTC. An `Option` of it takes eight bytes as well.
///
/// The kubelet writes its times in whole seconds.
///
/// ```
/// use kubelet_summary::schema::Time;
///
/// let time = Time::parse("2026-01-01T00:00:00Z").ok_or("no time")?;
/// assert_eq!(time.as_timestamp().to_string(), "2026-01-01T00:00:00Z");
/// assert_eq!(size_of::<Option<Time>>(), 8);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
// Offset by half of the range, so that the order is that of time and zero is free to say "absent".
pub struct Time(NonZeroU64);

const SECOND: i64 = 1_000_000_000;

impl Time {
    /// The moment so many nanoseconds after 1970-01-01 UTC. The lowest value there is, of the year 1677, becomes the
    /// one after it.
    pub const fn from_nanos(nanos: i64) -> Self {
        match NonZeroU64::new(nanos.cast_unsigned() ^ (1 << 63)) {
            Some(offset) => Self(offset),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Nanoseconds since 1970-01-01 UTC.
    pub const fn as_nanos(self) -> i64 {
        (self.0.get() ^ (1 << 63)).cast_signed()
    }

    /// Milliseconds since 1970-01-01 UTC, as the text exposition format has its timestamps.
    pub const fn as_millis(self) -> i64 {
        self.as_nanos().div_euclid(1_000_000)
    }

    /// The same moment as jiff has it.
    pub fn as_timestamp(self) -> Timestamp {
        let nanos = self.as_nanos();
        // Every i64 of nanoseconds is within jiff's range, which is that of the years -9999 to 9999.
        Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Nanoseconds from `earlier` to this, negative where it is later.
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        self.as_nanos().saturating_sub(earlier.as_nanos())
    }

    /// An RFC 3339 time, `None` where it isn't one or is outside of the years 1678 to 2262. Go's zero time, which is
    /// in the year 1, says that there is no time; it is `None` so.
    pub fn parse(text: &str) -> Option<Self> {
        parse_plain(text.as_bytes()).or_else(|| text.parse::<Timestamp>().ok()?.try_into().ok())
    }
}

/// `2026-01-01T00:00:00Z`: what the kubelet writes, at a tenth of the general parser's price.
fn parse_plain(text: &[u8]) -> Option<Time> {
    let [y3, y2, y1, y0, b'-', m1, m0, b'-', d1, d0, b'T', h1, h0, b':', n1, n0, b':', s1, s0, b'Z'] = text else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(&[*y3, *y2, *y1, *y0])?, number(&[*m1, *m0])?, number(&[*d1, *d0])?);
    let (hour, minute, second) = (number(&[*h1, *h0])?, number(&[*n1, *n0])?, number(&[*s1, *s0])?);
    // Days that not every month has, and leap seconds, are left to the general parser.
    let plain = (1678..2262).contains(&year) && (1..=12).contains(&month) && (1..=28).contains(&day);
    if !plain || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of a year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    Some(Time::from_nanos((((days * 24 + hour) * 60 + minute) * 60 + second) * SECOND))
}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_timestamp().fmt(f)
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Self {
        time.as_timestamp()
    }
}

impl TryFrom<Timestamp> for Time {
    type Error = std::num::TryFromIntError;

    /// Fails outside of the years 1678 to 2262.
    fn try_from(timestamp: Timestamp) -> Result<Self, Self::Error> {
        i64::try_from(timestamp.as_nanosecond()).map(Self::from_nanos)
    }
}

/// A name: of a container, a volume, an interface. Up to 24 bytes of it need no memory of their own.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(CompactString);

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}
