//! Tests of the clock.

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

/// A system's clock that was started at [`START`].
fn started() -> SystemClock {
    SystemClock::new(reading(START, 0))
}

fn now(clock: &SystemClock, wall: u64, monotonic: u64) -> Timestamp {
    clock.now(at(wall), || reading(wall, monotonic))
}

fn is_steady(clock: &SystemClock, wall: u64, monotonic: u64) -> bool {
    now(clock, wall, monotonic) == clock.latest()
}

#[test]
fn a_manual_clock_moves_when_told_and_never_back() {
    let clock = Clock::new(ClockSetting::Manual(at(START)));
    assert_eq!(clock.ahead(0), Ok(at(START)));
    assert_eq!(clock.ahead(5), Ok(at(START + 5)));
    assert_eq!(clock.now(), at(START), "it was only asked");
    assert_eq!(clock.to_remember(at(START + 5)), at(START + 5), "the store is told before the clock moves");
    clock.at_least(at(START + 5));
    assert_eq!(clock.now(), at(START + 5));
    assert_eq!(clock.destroyable_until(), Some(at(START + 5)));
    assert!(clock.is_steady(clock.now()));
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
    let before = monotonic();
    std::thread::sleep(std::time::Duration::from_millis(1001));
    assert!((before + 1..before + 60).contains(&monotonic()));
    let now = clock.now();
    assert_eq!(clock.to_remember(now), now);
    assert_eq!(clock.to_remember(now.plus(DAY)), now, "nobody has trusted that");
    assert!(clock.is_steady(now) && !clock.is_steady(now.plus(DAY)));
    assert_eq!(clock.destroyable_until(), None);
    let ahead = clock.now().plus(DAY);
    clock.at_least(ahead);
    assert_eq!(clock.now(), ahead);
    assert_eq!(clock.destroyable_until(), None);
}

// Goal: what callers see and what the store is told, in each way in which a wall clock can go. Method: the clocks run
// from one row to the next; each shows the wall clock, the monotonic one, the time, the latest trusted time.
#[test]
fn the_time_follows_the_wall_clock_and_remembers_what_is_trusted() {
    const LEAPT: u64 = 4_070_908_800;
    let cases: [(&str, &[[u64; 4]]); 6] = [
        ("steps back undo nothing", &[[9, 9, 9, 9], [0, 10, 9, 9], [8, 11, 9, 9], [10, 12, 10, 10], [13, 13, 13, 13]]),
        (
            "an hour ahead is trusted, and a second more is not",
            &[[HOUR + 5, 5, HOUR + 5, HOUR + 5], [HOUR + 7, 6, HOUR + 7, HOUR + 5], [8, 8, HOUR + 5, HOUR + 5]],
        ),
        (
            "hours ahead, one after the other, are a leap",
            &[[HOUR, 0, HOUR, HOUR], [2 * HOUR, 0, 2 * HOUR, HOUR], [HOUR + 1, 1, HOUR + 1, HOUR + 1]],
        ),
        (
            "a leap is seen, not trusted, and gone when it is corrected",
            &[
                [9, 9, 9, 9],
                [LEAPT, 10, LEAPT, 9],
                [LEAPT + 1, 11, LEAPT + 1, 9],
                [12, 12, 12, 12],
                [11, 13, 12, 12],
                [DAY - 1, DAY - 1, DAY - 1, DAY - 1],
            ],
        ),
        (
            "a leap that stays is trusted when it has stood for a day",
            &[
                [LEAPT, DAY, LEAPT, 0],
                [LEAPT + DAY - 1, 2 * DAY - 1, LEAPT + DAY - 1, 0],
                [LEAPT + DAY, 2 * DAY, LEAPT + DAY, LEAPT + DAY],
                [2 * DAY, 2 * DAY, LEAPT + DAY, LEAPT + DAY],
            ],
        ),
        (
            "a clock that was set far back is behind until it is right again, and that is a leap",
            &[[DAY, DAY, DAY, DAY], [0, DAY, DAY, DAY], [DAY + 9, DAY + 9, DAY + 9, DAY]],
        ),
    ];
    for (name, rows) in cases {
        let clock = started();
        for &[wall, monotonic, shown, latest] in rows {
            let time = now(&clock, START + wall, monotonic);
            assert_eq!((time, clock.latest()), (at(START + shown), at(START + latest)), "{name}: {wall}");
            assert_eq!(now(&clock, START + wall, monotonic), time, "{name}: {wall} again");
        }
    }
}

#[test]
fn within_a_second_that_was_seen_nobody_looks() {
    let clock = started();
    for (wall, shown) in [(START, START), (START + DAY, START + DAY), (START - 5, START), (START + 1, START + 1)] {
        assert_eq!(now(&clock, wall, 1), at(shown));
        assert_eq!(clock.now(at(wall), || panic!("a look at {wall}")), at(shown));
    }
}

#[test]
fn a_leap_suspends_destruction() {
    let clock = started();
    let destroyable = |wall, monotonic| clock.destroyable_until(|| reading(wall, monotonic));
    assert_eq!(destroyable(START + DAY, DAY), Some(at(START)));
    assert_eq!(destroyable(START + DAY + HOUR + 1, DAY + 1), Some(at(START + 1)), "an hour is no leap");
    assert_eq!(destroyable(START + DAY + HOUR + 3, DAY + 2), None);
    assert_eq!(destroyable(START + DAY + 3, DAY + 3), Some(at(START + 3)));
}

// Goal: a machine without a battery goes on at once when its clock is set to about where the store left off, and is
// no easier to lead astray than another. Method: it starts in 1970; the store's time comes 10 seconds later.
#[test]
fn a_clock_that_is_set_right_to_what_the_store_remembers_is_trusted() {
    for (wall, monotonic, trusted) in [
        (START - HOUR, 20, true),
        (START, 20, true),
        (START + 10 + HOUR, 20, true),
        (START + 11 + HOUR, 20, false),
        (START + 40 * DAY, 20, false),
        (START + 40 * DAY + HOUR, 40 * DAY + 10, true),
        (START + 40 * DAY + HOUR + 1, 40 * DAY + 10, false),
    ] {
        let clock = SystemClock::new(reading(100, 0));
        clock.at_least(at(START), || 10);
        assert_eq!(now(&clock, 110, 10), at(START));
        assert_eq!(now(&clock, wall, monotonic), at(wall.max(START)), "{wall}");
        assert_eq!(is_steady(&clock, wall, monotonic), trusted, "{wall}");
        assert_eq!(clock.latest(), at(if trusted { wall.max(START) } else { START }), "{wall}");
    }
}

// A store whose time is old, which is the rule, makes nobody distrust the clock that was found.
#[test]
fn what_the_store_remembers_takes_no_trust_away() {
    let clock = started();
    clock.at_least(at(START - 90 * DAY), || 0);
    assert_eq!(now(&clock, START + 5, 5), at(START + 5));
    assert_eq!(clock.latest(), at(START + 5));
}

// Goal: no thread sees time go back, whatever the order of updates. Method: threads bring in ever larger times and
// watch.
#[test]
fn threads_never_see_time_go_back() {
    let clock = SystemClock::new(reading(0, 0));
    std::thread::scope(|scope| {
        for offset in 0..3 {
            let clock = &clock;
            scope.spawn(move || {
                let mut before = at(0);
                for step in 0..10_000 {
                    let wall = step * 3 + offset;
                    let now = now(clock, wall, wall);
                    assert!(now >= before && now >= at(wall));
                    before = now;
                }
            });
        }
    });
    assert_eq!(clock.latest(), at(9_999 * 3 + 2));
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

// Goal: a clock that was set ahead on purpose is believed one to two days later, later only by the pauses between looks.
// Method: it is set ahead at every phase of the two periods, and looked at more and less often.
#[test]
fn a_clock_set_ahead_is_believed_after_one_to_two_days() {
    for (pause, set) in
        [60 * 20, 23 * HOUR, 60 * HOUR].into_iter().flat_map(|p| (0..3 * DAY / HOUR).map(move |h| (p, h * HOUR)))
    {
        let clock = started();
        let (mut destroyable, mut trusted) = (None, None);
        for monotonic in (0..20 * DAY).step_by(pause as usize) {
            let wall = START + monotonic + if monotonic >= set { 1000 * DAY } else { 0 };
            let until = clock.destroyable_until(|| reading(wall, monotonic));
            if until.is_some_and(|until| until > at(START + 900 * DAY)) {
                destroyable = destroyable.or(Some(monotonic - set));
            }
            if monotonic >= set && clock.latest() == at(wall) {
                trusted = trusted.or(Some(monotonic - set));
            }
        }
        assert_eq!(destroyable, trusted, "pause {pause}, set at {set}");
        assert!(
            trusted.is_some_and(|after| (DAY..=2 * DAY + 2 * pause).contains(&after)),
            "{pause}, {set}: {trusted:?}"
        );
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

// Goal: sleep that the monotonic clock counts is no leap. Method: a machine sleeps 16 hours a night for a month.
#[test]
fn a_machine_that_sleeps_is_steady() {
    let clock = started();
    for day in 1..30 {
        for hour in [0, 1, 7, 8] {
            let seconds = day * DAY + hour * HOUR;
            assert_eq!(now(&clock, START + seconds, seconds), at(START + seconds));
            let until = clock.destroyable_until(|| reading(START + seconds, seconds));
            assert_eq!(until, Some(at(START + seconds - DAY)), "day {day}, hour {hour}");
        }
    }
}

/// Seconds that pass, and by how much the wall clock is wrong then: seldom, slightly, or wildly.
fn any_steps() -> impl Strategy<Value = Vec<(u64, i64)>> {
    let error = prop_oneof![Just(0), -2 * HOUR as i64..2 * HOUR as i64, -40 * DAY as i64..40 * DAY as i64];
    prop::collection::vec((prop_oneof![0..5u64, 0..30 * HOUR], error), 1..40)
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

    // The rule itself, against a model that remembers every reading: a time is trusted only if for the last 24 hours, or
    // ever since the start, nothing stood more than an hour behind it, or if the store's own time leads there.
    #[test]
    fn a_leap_is_not_remembered_before_the_clocks_have_agreed_for_a_day(
        steps in any_steps(),
        stored in prop::option::of(-50 * DAY as i64..50 * DAY as i64),
    ) {
        let first = reading(START, 0);
        let clock = SystemClock::new(first);
        let stored = stored.map(|offset| reading(START.saturating_add_signed(offset), 0));
        if let Some(stored) = stored {
            clock.at_least(stored.wall, || 0);
        }
        let mut seen = vec![first];
        let mut monotonic = 0;
        let mut trusted = clock.latest();
        for (elapsed, error) in steps {
            monotonic += elapsed;
            let look = reading((START + monotonic).saturating_add_signed(error), monotonic);
            seen.push(look);
            let shown = now(&clock, look.wall.unix(), monotonic);
            let remembered = clock.latest();
            prop_assert_eq!(shown, look.wall.max(trusted), "the wall clock, and never before what was trusted");
            prop_assert!(remembered == trusted || remembered == look.wall);
            if remembered > trusted {
                let near = |r: &Reading| look.difference() - r.difference() <= LEAP;
                let (i, agreed) = seen.iter().enumerate().rev().take_while(|(_, r)| near(r)).last().expect("the look itself");
                let long_enough = i == 0 || monotonic - agreed.monotonic >= GRACE;
                prop_assert!(long_enough || stored.as_ref().is_some_and(near));
            }
            trusted = remembered;
        }
    }

    #[test]
    fn a_wall_clock_that_is_slewed_is_always_trusted(
        // Seconds that pass, and how much longer or shorter they are by the wall clock, in millionths.
        steps in prop::collection::vec((0..30 * HOUR, -500..500i64), 1..60)
    ) {
        let clock = started();
        let (mut wall, mut monotonic) = (START, 0);
        for (elapsed, slew) in steps {
            monotonic += elapsed;
            wall = (wall + elapsed).saturating_add_signed(elapsed.cast_signed() * slew / 1_000_000);
            prop_assert_eq!(now(&clock, wall, monotonic), at(wall));
            prop_assert_eq!(clock.latest(), at(wall));
            prop_assert!(is_steady(&clock, wall, monotonic));
        }
    }

    #[test]
    fn a_leap_that_is_corrected_within_a_day_leaves_nothing_behind(
        before in prop::collection::vec(0..30 * HOUR, 0..9),
        // How far ahead it is at each look, and at which looks of the day.
        mut leapt in prop::collection::vec((0..DAY, HOUR + 1..3000 * DAY), 1..9),
        after in prop::collection::vec(0..30 * HOUR, 1..9),
    ) {
        let clock = started();
        let mut monotonic = 0;
        for elapsed in before {
            monotonic += elapsed;
            prop_assert_eq!(now(&clock, START + monotonic, monotonic), at(START + monotonic));
        }
        let latest = clock.latest();
        leapt.sort_unstable();
        let begun = monotonic;
        for (elapsed, leap) in leapt {
            monotonic = begun + elapsed;
            let wall = START + monotonic + leap;
            prop_assert_eq!(now(&clock, wall, monotonic), at(wall));
            prop_assert_eq!(clock.latest(), latest);
            prop_assert_eq!(clock.destroyable_until(|| reading(wall, monotonic)), None);
        }
        for elapsed in after {
            monotonic += elapsed;
            prop_assert_eq!(now(&clock, START + monotonic, monotonic), at(START + monotonic));
            prop_assert!(is_steady(&clock, START + monotonic, monotonic));
        }
    }
}
