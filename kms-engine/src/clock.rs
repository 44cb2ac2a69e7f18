//! What time it is, and how far that is to be believed.
//!
//! # Three questions
//!
//! Every operation asks [`Clock::now`]: the wall clock. The wall clock can be set by anybody, by one wrong answer of a time
//! server or by an empty battery; the system's monotonic clock, which goes on while the machine sleeps, cannot, but knows no
//! date. The difference of the two is constant while the wall clock runs freely and steps exactly when the wall clock is set.
//! Each look at both records that difference, and the *steady date* is the monotonic clock plus the smallest difference seen
//! over at least the last 24 hours.
//!
//! *May the time be remembered?* ([`Clock::to_remember`]) A store remembers the latest time that it has acted on, so that a
//! clock that steps back un-does nothing: it un-expires no material, brings no key back, and no key rotates twice. What was
//! remembered wrongly would make the store refuse for ever what is not due yet. So a time is *trusted* only if it is at most an
//! hour ahead of the steady date, or of where the store had left off, if that is later (a machine that starts in 1970 and is then
//! set right). A trusted time is never gone back behind, within an engine nor after a restart. One that is not trusted is what
//! calls see, since it is what the wall shows, but it leaves no mark: when the wall is set right again, so is the engine.
//! A leap that stays is trusted once the clocks have agreed for a day. When an engine is opened it has nothing to hold the wall
//! clock against, and believes it.
//!
//! *May what is due be done?* Rotation waits while the time is not trusted ([`Clock::is_steady`]). Key material that is
//! destroyed is lost, so the sweep asks more, [`Clock::destroyable_until`]:
//!
//! > What has been past by the steady date for 24 hours may be destroyed, while the time is trusted.
//!
//! It follows that nothing is destroyable in the first 24 hours of an engine; that a wall clock that leaps ahead and is
//! corrected within 24 hours destroys nothing, however far it leapt; and that one set back is believed at once. Neither the
//! time of [`Clock::now`] nor that of a store plays a part, since one bad reading may be in them.

use std::sync::atomic::{AtomicU64, Ordering};

use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use parking_lot::Mutex;

/// Seconds for which the wall clock must have stood by a date before what was due then is destroyed.
const GRACE: u64 = 24 * 60 * 60;
/// Seconds by which a wall clock may be ahead of the steady date and still be trusted.
const TRUSTED_LEAP: i64 = 60 * 60;

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

    /// The time, in whole seconds. It never goes back behind a time that was trusted, nor behind one told to
    /// [`Clock::at_least`].
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(clock) => clock.now(wall()).0,
            Source::Manual(clock) => Timestamp::from_unix(clock.load(Ordering::Relaxed)),
        }
    }

    /// The latest time that may be recorded for what is done at `now`: that, unless it is not trusted.
    #[must_use]
    pub fn to_remember(&self, now: Timestamp) -> Timestamp {
        match &self.0 {
            Source::System(clock) => now.min(Timestamp::from_unix(clock.latest.load(Ordering::Relaxed))),
            Source::Manual(_) => now,
        }
    }

    /// Whether the present time is trusted. A manual clock always is.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        match &self.0 {
            Source::System(clock) => clock.now(wall()).1,
            Source::Manual(_) => true,
        }
    }

    /// Sees to it that the clock does not stand before `time`: the latest that a store has acted on.
    pub fn at_least(&self, time: Timestamp) {
        match &self.0 {
            Source::System(clock) => clock.at_least(time),
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

    /// The latest time at which material was due to be destroyed that may be destroyed now; `None` while none may. See the
    /// [module](self) for the rule. A manual clock is believed at once.
    ///
    /// The sweep should call this whenever it runs: each call is also a look at the clocks. It is correct however
    /// rarely that is, only later to believe in a wall clock that was set ahead.
    #[must_use]
    pub fn destroyable_until(&self) -> Option<Timestamp> {
        match &self.0 {
            Source::System(clock) => clock.destroyable_until(wall()),
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

/// The system's clock that nobody sets, in seconds from some beginning. On Linux it goes on while the machine sleeps.
fn monotonic() -> u64 {
    #[cfg(target_os = "linux")]
    let seconds = u64::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec).unwrap_or(0);
    #[cfg(not(target_os = "linux"))]
    let seconds = {
        static BEGINNING: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        BEGINNING.get_or_init(std::time::Instant::now).elapsed().as_secs()
    };
    seconds
}

struct SystemClock {
    /// The latest time that was trusted or told, in seconds since the epoch.
    latest: AtomicU64,
    /// The last time that was not trusted: calls within the same second need not judge it again.
    suspect: AtomicU64,
    judge: Mutex<Judge>,
}

impl SystemClock {
    fn start() -> Self {
        Self::starting(Reading { wall: wall(), monotonic: monotonic() })
    }

    fn starting(first: Reading) -> Self {
        Self {
            latest: AtomicU64::new(first.wall.unix()),
            suspect: AtomicU64::new(0),
            judge: Mutex::new(Judge { steadiness: Steadiness::new(first), told: i64::MIN / 2 }),
        }
    }

    /// The time when the wall clock shows `wall`, and whether it is trusted.
    fn now(&self, wall: Timestamp) -> (Timestamp, bool) {
        // Nearly every call falls into a second that another one has already judged, and loads, unlike writes, let all
        // processors keep their copy of the cache line. Nothing else is published through these numbers, so no order is
        // needed.
        let latest = self.latest.load(Ordering::Relaxed);
        if wall.unix() <= latest {
            return (Timestamp::from_unix(latest), true);
        }
        if wall.unix() == self.suspect.load(Ordering::Relaxed) {
            return (wall, false);
        }
        let mut judge = self.judge.lock();
        // Read under the lock, so that readings are recorded in their order.
        self.decide(&mut judge, Reading { wall, monotonic: monotonic() })
    }

    fn decide(&self, judge: &mut Judge, reading: Reading) -> (Timestamp, bool) {
        if judge.trusts(reading) {
            let wall = reading.wall.unix();
            (Timestamp::from_unix(self.latest.fetch_max(wall, Ordering::Relaxed).max(wall)), true)
        } else {
            self.suspect.store(reading.wall.unix(), Ordering::Relaxed);
            (reading.wall, false)
        }
    }

    fn at_least(&self, time: Timestamp) {
        self.latest.fetch_max(time.unix(), Ordering::Relaxed);
        let mut judge = self.judge.lock();
        judge.told = judge.told.max(Reading { wall: time, monotonic: monotonic() }.difference());
    }

    fn destroyable_until(&self, wall: Timestamp) -> Option<Timestamp> {
        let mut judge = self.judge.lock();
        let reading = Reading { wall, monotonic: monotonic() };
        let released = judge.steadiness.look(reading);
        released.filter(|_| judge.trusts(reading))
    }
}

/// What is held against the wall clock.
struct Judge {
    steadiness: Steadiness,
    /// What the latest time of the store was ahead of the monotonic clock.
    told: i64,
}

impl Judge {
    /// Records a reading and tells whether its wall clock is to be trusted.
    fn trusts(&mut self, reading: Reading) -> bool {
        self.steadiness.record(reading);
        reading.difference() <= self.steadiness.smallest().max(self.told) + TRUSTED_LEAP
    }
}

/// One look at both clocks.
#[derive(Clone, Copy, Debug)]
struct Reading {
    wall: Timestamp,
    /// Seconds from some beginning.
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

    fn record(&mut self, reading: Reading) {
        if reading.monotonic.saturating_sub(self.since) >= GRACE {
            *self = Self { closed: Some(self.running), running: reading.difference(), since: reading.monotonic };
        } else {
            self.running = self.running.min(reading.difference());
        }
    }

    /// The smallest difference of both periods.
    fn smallest(&self) -> i64 {
        self.closed.map_or(self.running, |closed| closed.min(self.running))
    }

    /// Records a reading and tells the latest time that the clocks allow to be treated as past for good.
    fn look(&mut self, reading: Reading) -> Option<Timestamp> {
        self.record(reading);
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

    /// A clock at the given reading, without the system's.
    fn clock(first: Reading) -> SystemClock {
        SystemClock::starting(first)
    }

    /// What the clock tells when both clocks show this.
    fn see(clock: &SystemClock, wall: u64, monotonic: u64) -> (u64, bool) {
        // As `now` does it, with the monotonic clock given.
        let latest = clock.latest.load(Ordering::Relaxed);
        if wall <= latest {
            return (latest, true);
        }
        let (now, trusted) = clock.decide(&mut clock.judge.lock(), reading(wall, monotonic));
        (now.unix(), trusted)
    }

    #[test]
    fn a_step_back_undoes_nothing() {
        let clock = clock(reading(START, 0));
        for (wall, now) in [(START + 9, START + 9), (START, START + 9), (0, START + 9), (START + 10, START + 10)] {
            assert_eq!(see(&clock, wall, 10), (now, true));
        }
    }

    // Goal: a leap is seen, leaves no mark, and is gone when it is corrected. Method: the largest leap that is trusted, and one
    // second more.
    #[test]
    fn a_leap_of_more_than_an_hour_is_not_remembered() {
        let clock = clock(reading(START, 500));
        assert_eq!(see(&clock, START + 10, 510), (START + 10, true));
        let leapt = START + 20 + HOUR + 1;
        for _ in 0..3 {
            assert_eq!(see(&clock, leapt, 520), (leapt, false));
            assert_eq!(clock.latest.load(Ordering::Relaxed), START + 10);
        }
        assert_eq!(clock.suspect.load(Ordering::Relaxed), leapt);
        assert_eq!(clock.now(at(leapt)), (at(leapt), false), "judged once a second");
        assert_eq!(see(&clock, START + 30, 530), (START + 30, true), "set right again");
        assert_eq!(see(&clock, START + 40 + HOUR, 540), (START + 40 + HOUR, true), "an hour is believed");
        assert_eq!(see(&clock, START + 50, 550), (START + 40 + HOUR, true), "and not gone back behind");
    }

    #[test]
    fn what_is_not_trusted_is_neither_remembered_nor_acted_on() {
        let clock = Clock::new(ClockSetting::System);
        let now = clock.now();
        assert!(clock.is_steady());
        assert_eq!(clock.to_remember(now), now);
        // After a leap calls are made at a time that is not recorded.
        let Source::System(system) = &clock.0 else { panic!("the system's clock") };
        let leapt = now.plus(1000 * DAY);
        assert_eq!(system.now(leapt), (leapt, false));
        assert!((now..now.plus(DAY)).contains(&clock.to_remember(leapt)));
        let manual = Clock::new(ClockSetting::Manual(at(START)));
        assert_eq!((manual.is_steady(), manual.to_remember(at(START + 1))), (true, at(START + 1)));
    }

    // Goal: a machine that starts without a date and is then set right about where the store left off is believed at once.
    #[test]
    fn a_clock_that_is_set_to_where_the_store_left_off_is_trusted() {
        let clock = SystemClock::start();
        let told = clock.latest.load(Ordering::Relaxed) + 30 * 365 * DAY;
        clock.at_least(at(told));
        assert_eq!(clock.now(at(told - DAY)), (at(told), true));
        assert_eq!(clock.now(at(told + HOUR - 60)), (at(told + HOUR - 60), true));
        assert_eq!(clock.now(at(told + 3 * HOUR)), (at(told + 3 * HOUR), false));
    }

    // Goal: a leap that stays is trusted after one to two days of agreement, however rarely somebody looks at least once a day.
    #[test]
    fn a_leap_that_stays_is_trusted_after_a_day() {
        for (set, every) in [(0, 60), (HOUR, 20 * 60), (23 * HOUR, HOUR), (DAY + 1, 23 * HOUR), (5 * HOUR, DAY)] {
            let clock = clock(reading(START, 0));
            let mut trusted_after = None;
            for monotonic in (0..6 * DAY).step_by(every as usize) {
                let wall = START + monotonic + if monotonic >= set { 1000 * DAY } else { 0 };
                let (_, trusted) = see(&clock, wall, monotonic);
                if monotonic >= set && trusted && monotonic > 0 {
                    trusted_after = trusted_after.or(Some(monotonic - set));
                }
            }
            let after = trusted_after.expect("trusted at last");
            if set > 0 {
                assert!((DAY..=3 * DAY).contains(&after), "set {set}, looked at every {every}: {after}");
            }
        }
    }

    // Goal: no thread sees time go back, whatever the order of updates. Method: threads bring in ever larger times and
    // watch.
    #[test]
    fn threads_never_see_time_go_back() {
        let clock = clock(reading(0, 0));
        std::thread::scope(|scope| {
            for offset in 0..3 {
                let clock = &clock;
                scope.spawn(move || {
                    let mut before = 0;
                    for step in 0..10_000 {
                        let wall = step * 3 + offset;
                        let (now, trusted) = see(clock, wall, wall);
                        assert!(now >= before && now >= wall && trusted);
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
        // A time that is remembered was at most an hour ahead of what the clocks had shown at every look of a day; and what was
        // trusted is never gone back behind.
        #[test]
        fn what_is_trusted_is_borne_out(
            steps in prop::collection::vec((0..30 * HOUR, -2 * HOUR as i64..40 * DAY as i64), 1..40)
        ) {
            let first = reading(START, 0);
            let clock = clock(first);
            let (mut seen, mut monotonic, mut trusted_to) = (vec![first], 0, START);
            for (elapsed, error) in steps {
                monotonic += elapsed;
                let wall = (START + monotonic).saturating_add_signed(error);
                // What is not ahead of the time that is trusted is not looked at.
                if wall > trusted_to {
                    seen.push(reading(wall, monotonic));
                }
                let (now, trusted) = see(&clock, wall, monotonic);
                prop_assert!(now >= trusted_to && now >= wall);
                if now > trusted_to && trusted {
                    for r in seen.iter().filter(|r| monotonic - r.monotonic <= GRACE) {
                        prop_assert!(now <= r.wall.unix() + (monotonic - r.monotonic) + HOUR);
                    }
                    trusted_to = now;
                }
                prop_assert_eq!(clock.latest.load(Ordering::Relaxed), trusted_to);
            }
        }

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
