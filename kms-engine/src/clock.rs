//! What time it is, and how far that is to be believed.
//!
//! # Two clocks
//!
//! The wall clock tells the date, and can be set by anybody, by one wrong answer of a time server or by an empty battery.
//! The monotonic clock cannot be set, but knows no date. The difference of the two is constant while the wall clock runs
//! freely and steps exactly when the wall clock is set. Each look at the clocks records that difference; there is one in
//! every second in which somebody asks for the time. From it follows
//!
//! > the **steady date**: the monotonic clock plus the smallest difference seen over at least the last 24 hours.
//!
//! On Linux the monotonic clock counts the time that the machine sleeps. Elsewhere it need not, and what was slept through
//! then looks like a leap of the wall clock.
//!
//! # Three questions
//!
//! **What time is it?** Every operation asks [`Clock::now`]: the wall clock, but never before the latest time that was
//! *trusted*. A time is trusted when it is at most an hour ahead of the steady date, or at most an hour ahead of the time that
//! the store remembered when it was opened, carried on by the monotonic clock (a machine without a battery starts in 1970 and
//! is set right a little later). The clock that an engine finds when it is opened is believed: nothing is known against it.
//!
//! So a clock that steps back un-does nothing. One that leaps ahead is seen by callers, who are refused what is not to be
//! refused yet; but since that time is not trusted, all is as before once the clock is set right, except for the dates that
//! calls have written meanwhile. A leap that was no error (nor is the way back of a clock that was set far back) is trusted
//! when the clocks have agreed for 24 hours: 24 to 48 hours after it if somebody looks all the time, later by at most the
//! two longest pauses between looks if not.
//!
//! **What may outlast this engine?** The store remembers the latest time that it has acted on, and its engine never stands
//! before that again. A leap that got in there would be there for good, so [`Clock::to_remember`] tells of trusted times
//! alone. By the same measure [`Clock::is_steady`] tells whether rotation may go on.
//!
//! **What may be destroyed?** Material that is destroyed is lost, and an hour ahead is trusted too easily for that. So the
//! sweep asks [`Clock::destroyable_until`]:
//!
//! > What has been past by the steady date for 24 hours may be destroyed, unless an untrusted leap stands.
//!
//! It follows that nothing is destroyable in the first 24 hours of an engine; that a wall clock that leaps ahead and is
//! corrected within 24 hours destroys nothing, however far it leapt; and that one set back is believed at once. Neither
//! the time of [`Clock::now`] nor that of a store plays a part, since one bad reading may be in them.

use std::sync::atomic::{AtomicU64, Ordering};

use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use kms_secmem::lock::Mutex;

/// Seconds for which the wall clock must have stood by a date before what was due then is destroyed.
const GRACE: u64 = 24 * 60 * 60;
/// Seconds by which a wall clock may be ahead of what is known and still be trusted: more than honest clocks are ever set
/// by, little against the days in which keys expire and are deleted.
const LEAP: i64 = 60 * 60;

/// Which clock an engine goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockSetting {
    /// The system's wall clock.
    #[default]
    System,
    /// A clock that starts here and moves when it is told to.
    Manual(Timestamp),
}

/// The clock of one engine. Any number of threads may use it.
pub struct Clock(Source);

enum Source {
    System(SystemClock),
    /// Seconds since the epoch.
    Manual(AtomicU64),
}

impl Clock {
    /// Starts a clock. For the system's clock the 24 hours of [`Clock::destroyable_until`] begin.
    #[must_use]
    pub fn new(setting: ClockSetting) -> Self {
        Self(match setting {
            ClockSetting::System => Source::System(SystemClock::new(read())),
            ClockSetting::Manual(at) => Source::Manual(AtomicU64::new(at.unix())),
        })
    }

    /// The time, in whole seconds. It is never before a trusted time that was returned, nor before one told to
    /// [`Clock::at_least`]. See the [module](self) for what is trusted.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(clock) => clock.now(wall(), read),
            Source::Manual(clock) => Timestamp::from_unix(clock.load(Ordering::Relaxed)),
        }
    }

    /// What a store may remember of a commit made at `now`, which [`Clock::now`] has returned, as the latest time it has
    /// acted on: `now` when it is trusted, else the latest time that is. A manual clock is always trusted, also in where it
    /// is about to go.
    #[must_use]
    pub fn to_remember(&self, now: Timestamp) -> Timestamp {
        match &self.0 {
            Source::System(clock) => now.min(clock.latest()),
            Source::Manual(_) => now,
        }
    }

    /// Whether rotation may go by `now`, which [`Clock::now`] has returned: not if it is of an untrusted leap.
    #[must_use]
    pub fn is_steady(&self, now: Timestamp) -> bool {
        self.to_remember(now) == now
    }

    /// Sees to it that the clock does not stand before `time`: the latest that a store has acted on. A system's clock that
    /// is set right to about there is trusted.
    pub fn at_least(&self, time: Timestamp) {
        match &self.0 {
            Source::System(clock) => clock.at_least(time, monotonic),
            Source::Manual(clock) => {
                clock.fetch_max(time.unix(), Ordering::Relaxed);
            }
        }
    }

    /// What a manual clock would show `seconds` later. It moves by [`Clock::at_least`], once the store knows of it: a time that
    /// was shown and then forgotten would bring back keys that were gone.
    ///
    /// # Errors
    /// `KMS_CLOCK_NOT_MANUAL` for the system's clock. `InvalidParameter`, naming `seconds`, for a negative number and
    /// for one that leads past the year 9999.
    pub fn ahead(&self, seconds: i64) -> Result<Timestamp, KmsError> {
        let Source::Manual(clock) = &self.0 else { return Err(ErrorCode::ClockNotManual.into()) };
        let seconds = u64::try_from(seconds).ok();
        let then = seconds.and_then(|seconds| clock.load(Ordering::Relaxed).checked_add(seconds));
        let then = then.filter(|then| *then <= Timestamp::MAX.unix()).ok_or_else(|| KmsError::invalid("seconds"))?;
        Ok(Timestamp::from_unix(then))
    }

    /// The latest DeleteDate whose key material may be destroyed now; `None` while none may. See the
    /// [module](self) for the rule. A manual clock is believed at once.
    ///
    /// Each call is also a look at the clocks. It is correct however rarely that is, only later to believe in a wall clock
    /// that was set ahead.
    #[must_use]
    pub fn destroyable_until(&self) -> Option<Timestamp> {
        match &self.0 {
            Source::System(clock) => clock.destroyable_until(read),
            Source::Manual(_) => Some(self.now()),
        }
    }
}

/// The system's wall clock; one that stands before 1970 counts as standing there.
///
/// On Linux as of the kernel's last tick, some milliseconds ago at most: whole seconds are all that is asked for, and
/// the exact time would cost five times as much.
fn wall() -> Timestamp {
    #[cfg(target_os = "linux")]
    let seconds = u64::try_from(rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse).tv_sec).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    Timestamp::from_unix(seconds)
}

/// Seconds since some moment before the engine was opened. It never goes back, and nobody can set it.
fn monotonic() -> u64 {
    #[cfg(target_os = "linux")]
    // Unlike `Instant` it goes on while the machine sleeps.
    let seconds = u64::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    let seconds = {
        static FIRST: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        FIRST.elapsed().as_secs()
    };
    seconds
}

fn read() -> Reading {
    // In this order: a pause between the two looks like a leap, which is over at the next look, and not like a step back,
    // after which the true time would look like a leap for a day.
    let monotonic = monotonic();
    Reading { wall: wall(), monotonic }
}

/// What is made of the system's clocks. The clocks themselves are arguments.
struct SystemClock {
    /// The latest trusted time, in seconds since the epoch.
    latest: AtomicU64,
    /// What the wall clock showed at the last look, in seconds since the epoch. Whether that was trusted is then known: if
    /// so, `latest` is not before it.
    judged: AtomicU64,
    steadiness: Mutex<Steadiness>,
}

impl SystemClock {
    fn new(first: Reading) -> Self {
        Self {
            latest: AtomicU64::new(first.wall.unix()),
            judged: AtomicU64::new(first.wall.unix()),
            steadiness: Mutex::new(Steadiness::new(first)),
        }
    }

    fn latest(&self) -> Timestamp {
        Timestamp::from_unix(self.latest.load(Ordering::Relaxed))
    }

    fn now(&self, wall: Timestamp, read: impl FnOnce() -> Reading) -> Timestamp {
        // Nearly every call falls into a second that another one has already judged, and loads, unlike writes, let all
        // processors keep their copy of the cache line. Who sees the judgement also sees the `latest` that came of it.
        if self.judged.load(Ordering::Acquire) == wall.unix() {
            return wall.max(self.latest());
        }
        let (wall, _) = self.look(read);
        wall.max(self.latest())
    }

    /// Looks at both clocks, and tells the wall clock and what [`Steadiness::look`] made of it.
    #[cold]
    fn look(&self, read: impl FnOnce() -> Reading) -> (Timestamp, Option<Timestamp>) {
        let mut steadiness = self.steadiness.lock();
        // Read under the lock, so that readings are recorded in their order.
        let reading = read();
        let past = steadiness.look(reading);
        if steadiness.trusts(reading) {
            self.latest.fetch_max(reading.wall.unix(), Ordering::Relaxed);
        }
        self.judged.store(reading.wall.unix(), Ordering::Release);
        (reading.wall, past)
    }

    fn destroyable_until(&self, read: impl FnOnce() -> Reading) -> Option<Timestamp> {
        let (wall, past) = self.look(read);
        past.filter(|_| wall <= self.latest())
    }

    fn at_least(&self, time: Timestamp, monotonic: impl FnOnce() -> u64) {
        let mut steadiness = self.steadiness.lock();
        steadiness.remember(Reading { wall: time, monotonic: monotonic() });
        self.latest.fetch_max(time.unix(), Ordering::Relaxed);
    }
}

/// One look at both clocks.
#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: Timestamp,
    /// As of [`monotonic`].
    monotonic: u64,
}

impl Reading {
    /// What the wall clock is ahead of the monotonic one, in seconds. Both are far below 2^63.
    fn difference(self) -> i64 {
        self.wall.unix().cast_signed() - self.monotonic.cast_signed()
    }
}

/// The smallest difference of the clocks over the last one to two days, kept as that of a closed period and that of the
/// running one, so that no reading needs to be remembered.
///
/// ```text
///   closed: 24 h or more   running: less than 24 h
/// ├───────────────────────┼────────────────┤ now
/// ```
///
/// The first reading of the closed period is therefore at least 24 hours old, and both together hold every reading
/// since. A leap is forgotten to have been one when all of the closed period came after it.
#[derive(Debug)]
struct Steadiness {
    closed: Option<i64>,
    running: i64,
    /// Monotonic seconds at which the running period began.
    since: u64,
    /// The largest difference at which the wall clock would show what a store remembered.
    remembered: Option<i64>,
}

impl Steadiness {
    fn new(first: Reading) -> Self {
        Self { closed: None, running: first.difference(), since: first.monotonic, remembered: None }
    }

    /// Records a reading and tells the latest time that the clocks allow to be treated as past for good.
    fn look(&mut self, reading: Reading) -> Option<Timestamp> {
        if reading.monotonic.saturating_sub(self.since) >= GRACE {
            self.closed = Some(self.running);
            self.running = reading.difference();
            self.since = reading.monotonic;
        } else {
            self.running = self.running.min(reading.difference());
        }
        let date = reading.monotonic.cast_signed() + self.running.min(self.closed?);
        u64::try_from(date).ok()?.checked_sub(GRACE).map(Timestamp::from_unix)
    }

    /// Takes what a store remembered for a date that the wall clock may come to show.
    fn remember(&mut self, stored: Reading) {
        self.remembered = self.remembered.max(Some(stored.difference()));
    }

    /// Whether a reading that was recorded is no leap.
    fn trusts(&self, reading: Reading) -> bool {
        let smallest = self.closed.map_or(self.running, |closed| closed.min(self.running));
        reading.difference() - LEAP <= self.remembered.map_or(smallest, |remembered| remembered.max(smallest))
    }
}

#[cfg(test)]
mod tests;
