//! Points in time and spans between them, in whole seconds, as the contract writes them.
//!
//! The core reads no clock: the instant of an operation reaches it as an argument.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970-01-01T00:00:00Z, between that day and the end of the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59Z, the last second that the contract's form can write.
    pub const MAX: Self = Self(253_402_300_799);

    /// The instant `seconds` after the epoch; instants beyond [`Timestamp::MAX`] become that.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        if seconds > Self::MAX.0 { Self::MAX } else { Self(seconds) }
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// The instant `seconds` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .ok_or(fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )
    }
}

/// A text that is not an RFC 3339 time between 1970 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTimestamp;

impl fmt::Display for BadTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a time of the form YYYY-MM-DDThh:mm:ssZ between 1970 and 9999")
    }
}

impl std::error::Error for BadTimestamp {}

/// Reads RFC 3339; a fraction of a second is cut off.
impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| BadTimestamp)?;
        let seconds = u64::try_from(at.unix_timestamp()).map_err(|_| BadTimestamp)?;
        if seconds > Self::MAX.0 { Err(BadTimestamp) } else { Ok(Self(seconds)) }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A span of whole seconds, written `<integer><unit>` with the unit d, h, m or s (contract, chapter 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(u64);

impl Interval {
    /// A span of whole days.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(days * 86_400)
    }

    /// A span of so many seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// Reads `<integer><unit>`: digits, then one of d, h, m, s.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let scale = match unit {
            "d" => 86_400,
            "h" => 3_600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        // `u64::from_str` would take a sign as well.
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self(digits.parse::<u64>().ok()?.checked_mul(scale)?))
    }
}

/// Whole seconds with the suffix s, as answers have it.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_the_contract_writes_them() {
        // Expected values from `date -u -d @N +%FT%TZ`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_893_456_000, "2030-01-01T00:00:00Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_unix(seconds)));
        }
        assert_eq!("2030-01-01T01:00:00+01:00".parse(), Ok(Timestamp::from_unix(1_893_456_000)));
    }

    #[test]
    fn times_out_of_range_are_refused_or_held_at_the_end() {
        for text in ["", "2030-01-01", "1969-12-31T23:59:59Z", "2030-13-01T00:00:00Z", "2030-01-01T00:00:00"] {
            assert_eq!(text.parse::<Timestamp>(), Err(BadTimestamp), "{text}");
        }
        assert_eq!(Timestamp::MAX.plus(1), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix(u64::MAX), Timestamp::MAX);
    }

    #[test]
    fn intervals_have_an_integer_and_a_unit() {
        for (text, seconds) in
            [("7d", 604_800), ("604800s", 604_800), ("168h", 604_800), ("10080m", 604_800), ("0s", 0)]
        {
            assert_eq!(Interval::parse(text), Some(Interval::from_seconds(seconds)), "{text}");
            assert_eq!(Interval::from_seconds(seconds).to_string(), format!("{seconds}s"));
        }
        for text in ["", "d", "7", "7D", "+7d", "-7d", "7.5d", "7 d", "99999999999999999999d", "7dd", "日"] {
            assert_eq!(Interval::parse(text), None, "{text}");
        }
    }
}
