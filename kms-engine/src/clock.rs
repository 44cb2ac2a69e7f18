//! What time it is, and how far that is to be believed.
//!
//! # Two questions
//!
//! Every operation asks [`Clock::now`]: the wall clock, except that it never goes back. Within an engine a later call
//! never sees an earlier time, and [`Clock::at_least`] lets the engine bring in the latest time its store has acted on,
//! so that a clock that steps back un-does nothing across a restart either. A clock that was wrongly ahead keeps the
//! engine ahead, and calls refuse what they should not yet refuse, until the wall clock has caught up. That is a
//! nuisance, but nothing is lost.
//!
//! Key material that is destroyed is lost. So the sweep asks [`Clock::destroyable_until`] instead, which believes the
//! wall clock only so far as it has been borne out. The wall clock can be set by anybody, by one wrong answer of a time
//! server or by an empty battery; the system's monotonic clock cannot, but knows no date. The difference of the two is
//! constant while the wall clock runs freely and steps exactly when the wall clock is set. Each look at the clocks
//! records that difference, and the rule is:
//!
//! > The date is the monotonic clock plus the smallest difference seen over at least the last 24 hours. What has been
//! > past by that date for 24 hours may be destroyed.
//!
//! It follows that nothing is destroyable in the first 24 hours of an engine; that a wall clock that leaps ahead and is
//! corrected within 24 hours destroys nothing, however far it leapt; that one set back is believed at once; and that a
//! machine which sleeps (the monotonic clock stands still, the wall clock seems to leap when it wakes) falls behind by
//! as long as it slept in its last one or two days of being awake, never for ever. Neither the time of [`Clock::now`]
//! nor that of a store plays a part, since one bad reading may be in them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use parking_lot::Mutex;

/// Seconds for which the wall clock must have stood by a date before what was due then is destroyed.
const GRACE: u64 = 24 * 60 * 60;

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
            ClockSetting::System => Source::System(SystemClock::start()),
            ClockSetting::Manual(at) => Source::Manual(AtomicU64::new(at.unix())),
        })
    }

    /// The time, in whole seconds. It never goes back, and is never before a time told to [`Clock::at_least`].
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(clock) => clock.latest(wall()),
            Source::Manual(clock) => Timestamp::from_unix(clock.load(Ordering::Relaxed)),
        }
    }

    /// Sees to it that the clock does not stand before `time`: the latest that a store has acted on.
    pub fn at_least(&self, time: Timestamp) {
        let latest = match &self.0 {
            Source::System(clock) => &clock.latest,
            Source::Manual(clock) => clock,
        };
        latest.fetch_max(time.unix(), Ordering::Relaxed);
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
    /// The sweep should call this whenever it runs: each call is also a look at the clocks. It is correct however
    /// rarely that is, only later to believe in a wall clock that was set ahead.
    #[must_use]
    pub fn destroyable_until(&self) -> Option<Timestamp> {
        match &self.0 {
            Source::System(clock) => clock.destroyable_until(),
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

struct SystemClock {
    /// The largest time that was returned or told, in seconds since the epoch.
    latest: AtomicU64,
    /// Where this engine's monotonic seconds are counted from.
    started: Instant,
    steadiness: Mutex<Steadiness>,
}

impl SystemClock {
    fn start() -> Self {
        let wall = wall();
        Self {
            latest: AtomicU64::new(wall.unix()),
            started: Instant::now(),
            steadiness: Mutex::new(Steadiness::new(Reading { wall, monotonic: 0 })),
        }
    }

    fn latest(&self, wall: Timestamp) -> Timestamp {
        // Nearly every call falls into a second that another one has already recorded, and a load, unlike a write, lets
        // all processors keep their copy of the cache line. Nothing else is published through this number, so no order
        // is needed.
        let latest = self.latest.load(Ordering::Relaxed);
        if wall.unix() <= latest {
            return Timestamp::from_unix(latest);
        }
        Timestamp::from_unix(self.latest.fetch_max(wall.unix(), Ordering::Relaxed).max(wall.unix()))
    }

    fn destroyable_until(&self) -> Option<Timestamp> {
        let mut steadiness = self.steadiness.lock();
        // Read under the lock, so that readings are recorded in their order.
        steadiness.look(Reading { wall: wall(), monotonic: self.started.elapsed().as_secs() })
    }
}

/// One look at both clocks.
#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: Timestamp,
    /// Seconds since the engine was opened.
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
/// since.
#[derive(Debug)]
struct Steadiness {
    closed: Option<i64>,
    running: i64,
    /// Monotonic seconds at which the running period began.
    since: u64,
}

impl Steadiness {
    fn new(first: Reading) -> Self {
        Self { closed: None, running: first.difference(), since: first.monotonic }
    }

    /// Records a reading and tells the latest time that the clocks allow to be treated as past for good.
    fn look(&mut self, reading: Reading) -> Option<Timestamp> {
        if reading.monotonic.saturating_sub(self.since) >= GRACE {
            *self = Self { closed: Some(self.running), running: reading.difference(), since: reading.monotonic };
        } else {
            self.running = self.running.min(reading.difference());
        }
        let date = reading.monotonic.cast_signed() + self.running.min(self.closed?);
        u64::try_from(date).ok()?.checked_sub(GRACE).map(Timestamp::from_unix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    const START: u64 = 1_893_456_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    fn reading(wall: u64, monotonic: u64) -> Reading {
        Reading { wall: at(wall), monotonic }
    }

    #[test]
    fn a_manual_clock_moves_when_told_and_never_back() {
        let clock = Clock::new(ClockSetting::Manual(at(START)));
        assert_eq!(clock.ahead(0), Ok(at(START)));
        assert_eq!(clock.ahead(5), Ok(at(START + 5)));
        assert_eq!(clock.now(), at(START), "it was only asked");
        clock.at_least(at(START + 5));
        assert_eq!(clock.now(), at(START + 5));
        assert_eq!(clock.destroyable_until(), Some(at(START + 5)));
        for bad in [-1, i64::MIN, i64::MAX, 253_402_300_800 - (START as i64 + 5)] {
            assert_eq!(clock.ahead(bad), Err(KmsError::invalid("seconds")), "{bad}");
        }
        clock.at_least(at(START));
        assert_eq!(clock.now(), at(START + 5));
        assert_eq!(clock.ahead((Timestamp::MAX.unix() - START - 5) as i64), Ok(Timestamp::MAX));
        clock.at_least(Timestamp::MAX);
        assert_eq!(clock.ahead(1), Err(KmsError::invalid("seconds")));
    }

    #[test]
    fn the_systems_clock_cannot_be_moved_and_tells_the_time() {
        let clock = Clock::new(ClockSetting::System);
        assert_eq!(clock.ahead(1), Err(ErrorCode::ClockNotManual.into()));
        assert_eq!(clock.ahead(-1), Err(ErrorCode::ClockNotManual.into()));
        assert!(clock.now() >= at(1_700_000_000), "this was written in a later year than 2023");
        assert!(clock.now().unix().abs_diff(wall().unix()) <= 1);
        assert_eq!(clock.destroyable_until(), None);
        let ahead = clock.now().plus(DAY);
        clock.at_least(ahead);
        assert_eq!(clock.now(), ahead);
        assert_eq!(clock.destroyable_until(), None);
    }

    #[test]
    fn a_step_back_undoes_nothing() {
        let clock = SystemClock::start();
        clock.latest.store(START, Ordering::Relaxed);
        for (wall, now) in [(START + 9, START + 9), (START, START + 9), (0, START + 9), (START + 10, START + 10)] {
            assert_eq!(clock.latest(at(wall)), at(now));
        }
    }

    // Goal: no thread sees time go back, whatever the order of updates. Method: threads bring in ever larger times and
    // watch.
    #[test]
    fn threads_never_see_time_go_back() {
        let clock = SystemClock::start();
        clock.latest.store(0, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for offset in 0..3 {
                let clock = &clock;
                scope.spawn(move || {
                    let mut before = at(0);
                    for step in 0..10_000 {
                        let now = clock.latest(at(step * 3 + offset));
                        assert!(now >= before && now >= at(step * 3 + offset));
                        before = now;
                    }
                });
            }
        });
        assert_eq!(clock.latest.load(Ordering::Relaxed), 9_999 * 3 + 2);
    }

    #[test]
    fn clocks_that_agree_release_after_a_day() {
        let mut steadiness = Steadiness::new(reading(START, 0));
        assert_eq!(steadiness.look(reading(START, 0)), None);
        assert_eq!(steadiness.look(reading(START + DAY - 1, DAY - 1)), None);
        assert_eq!(steadiness.look(reading(START + DAY, DAY)), Some(at(START)));
        assert_eq!(steadiness.look(reading(START + DAY + 7, DAY + 7)), Some(at(START + 7)));
        // Looking rarely costs nothing.
        assert_eq!(steadiness.look(reading(START + 90 * DAY, 90 * DAY)), Some(at(START + 89 * DAY)));
    }

    // Goal: one bad answer must not shred keys. Method: the wall clock leaps to 2099 and is corrected a little less
    // than a day later, at every phase of the two periods; nothing later than a day before the true time is ever
    // released.
    #[test]
    fn a_leap_that_is_corrected_within_a_day_releases_nothing() {
        for leap in (0..4 * DAY).step_by(HOUR as usize) {
            let mut steadiness = Steadiness::new(reading(START, 0));
            for monotonic in (0..7 * DAY).step_by(60 * 20) {
                let truth = START + monotonic;
                let leapt = (leap..leap + DAY - HOUR).contains(&monotonic);
                let released = steadiness.look(reading(if leapt { 4_070_908_800 } else { truth }, monotonic));
                assert_eq!(released, (monotonic >= DAY).then(|| at(truth - DAY)), "leap {leap}, at {monotonic}");
            }
        }
    }

    #[test]
    fn a_clock_set_ahead_is_believed_after_one_to_two_days() {
        for set in (0..DAY).step_by(HOUR as usize) {
            let mut steadiness = Steadiness::new(reading(START, 0));
            let mut believed = None;
            for monotonic in (0..5 * DAY).step_by(60 * 20) {
                let wall = START + monotonic + if monotonic >= set { 1000 * DAY } else { 0 };
                if steadiness.look(reading(wall, monotonic)).is_some_and(|until| until > at(START + 900 * DAY)) {
                    believed = believed.or(Some(monotonic - set));
                }
            }
            assert!(believed.is_some_and(|after| (DAY..=2 * DAY).contains(&after)), "{set}: {believed:?}");
        }
    }

    #[test]
    fn a_clock_set_back_is_believed_at_once() {
        let mut steadiness = Steadiness::new(reading(START + 1000 * DAY, 0));
        assert_eq!(steadiness.look(reading(START + 1001 * DAY, DAY)), Some(at(START + 1000 * DAY)));
        assert_eq!(steadiness.look(reading(START + DAY + 60, DAY + 60)), Some(at(START + 60)));
        // A clock that lost its date altogether.
        assert_eq!(steadiness.look(reading(0, DAY + 120)), None);
    }

    // Goal: a machine that sleeps 16 hours a night gets its deletions done, a few days late.
    #[test]
    fn sleeping_delays_and_does_not_prevent() {
        let mut steadiness = Steadiness::new(reading(START, 0));
        let mut released = None;
        let mut wall = START;
        for hour_awake in 1..=30 * 8 {
            wall += HOUR + if hour_awake % 8 == 0 { 16 * HOUR } else { 0 };
            released = steadiness.look(reading(wall, hour_awake * HOUR));
        }
        let behind = wall - released.expect("something is past").unix();
        assert!(behind <= 8 * DAY, "{} hours", behind / HOUR);
    }

    proptest! {
        // The rule itself, against a model that remembers every reading.
        #[test]
        fn what_is_released_was_past_for_a_day_by_every_reading_of_that_day(
            steps in prop::collection::vec((0..30 * HOUR, -40 * DAY as i64..40 * DAY as i64), 1..40)
        ) {
            let first = reading(START, 0);
            let mut steadiness = Steadiness::new(first);
            let mut seen = vec![first];
            let mut monotonic = 0;
            for (elapsed, error) in steps {
                monotonic += elapsed;
                let now = reading((START + monotonic).saturating_add_signed(error), monotonic);
                seen.push(now);
                let Some(until) = steadiness.look(now) else { continue };
                prop_assert!(until.plus(GRACE) <= now.wall);
                prop_assert!(seen.iter().any(|r| monotonic - r.monotonic >= GRACE));
                for r in seen.iter().filter(|r| monotonic - r.monotonic <= GRACE) {
                    prop_assert!(until.unix() + GRACE <= r.wall.unix() + (monotonic - r.monotonic));
                }
            }
        }
    }
}
