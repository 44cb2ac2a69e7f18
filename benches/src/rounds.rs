//! How time is taken: in short turns that alternate, so that whatever else the machine does falls on all alike; and told
//! as medians, which a few disturbed turns move little.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::contestant::Contestant;
use crate::machine::thread_time;

/// How many rounds there are, and how long a turn of one contestant lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Rounds. In each, everyone has one turn.
    pub rounds: usize,
    /// The length of a turn.
    pub turn: Duration,
}

/// What one contestant measured in each round.
#[derive(Clone, Debug, PartialEq)]
pub struct Series(Vec<f64>);

impl Series {
    /// The value that a fraction `q` of all is below.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = q * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        below + (above - below) * at.fract()
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The range in which the middle half lies: how quiet the machine was.
    #[must_use]
    pub fn quartiles(&self) -> (f64, f64) {
        (self.quantile(0.25), self.quantile(0.75))
    }

    /// The quotient of two series, round by round.
    ///
    /// # Panics
    /// When they have not the same number of rounds.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        assert_eq!(self.0.len(), other.0.len(), "a quotient is made within a round");
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Times every contestant: nanoseconds of processor time for one repetition, by round. What else the processor did
/// meanwhile does not count.
pub fn time(contestants: &mut [Contestant], plan: Plan) -> Vec<Series> {
    let times: Vec<u64> = contestants.iter_mut().map(|contestant| repetitions(contestant, plan.turn)).collect();
    let mut series = vec![Series(Vec::with_capacity(plan.rounds)); contestants.len()];
    for round in 0..plan.rounds {
        for turn in 0..contestants.len() {
            // Nobody always follows the same one, whose traces in the caches he would find.
            let who = order(round, turn, contestants.len());
            let began = thread_time();
            contestants[who].repeat(times[who]);
            series[who].0.push((thread_time() - began).as_nanos() as f64 / times[who] as f64);
        }
    }
    series
}

/// Who has a turn: forwards in even rounds, backwards in odd ones, and each round begins one further.
fn order(round: usize, turn: usize, contestants: usize) -> usize {
    let turn = if round.is_multiple_of(2) { turn } else { contestants - 1 - turn };
    (turn + round / 2) % contestants
}

/// How many repetitions take as long as a turn; also warms the contestant up.
pub fn repetitions(contestant: &mut Contestant, turn: Duration) -> u64 {
    let mut times = 1;
    loop {
        let began = thread_time();
        contestant.repeat(times);
        let took = thread_time() - began;
        if took >= turn / 2 {
            let scaled = times as f64 * turn.as_secs_f64() / took.as_secs_f64();
            return (scaled as u64).max(1);
        }
        times *= 2;
    }
}

/// A load: workers that run at once, each a thread of its own, and how many repetitions they do between two looks at the
/// time.
#[derive(Debug)]
pub struct Load {
    workers: Vec<Contestant>,
    stride: u64,
}

impl Load {
    /// Workers whose repetitions are short: they look at the time every 100 µs or so.
    #[must_use]
    pub fn short(mut workers: Vec<Contestant>) -> Self {
        let stride = workers.iter_mut().map(|worker| repetitions(worker, Duration::from_micros(100))).min();
        Self { workers, stride: stride.unwrap_or(1) }
    }

    /// Workers whose repetitions are long: they look at the time after each.
    #[must_use]
    pub fn long(workers: Vec<Contestant>) -> Self {
        Self { workers, stride: 1 }
    }

    /// Runs the first `threads` workers for as long as a turn. Returns repetitions per second, all together, and the
    /// nanoseconds of processor time that one took.
    fn run(&mut self, threads: usize, turn: Duration) -> (f64, f64) {
        let stride = self.stride;
        let barrier = Barrier::new(threads);
        let work = |worker: &mut Contestant| {
            // What a new thread does once, such as to seed its generator, is not counted.
            worker.repeat(stride);
            barrier.wait();
            measured(worker, stride, turn)
        };
        thread::scope(|scope| {
            let running: Vec<_> = self.workers[..threads].iter_mut().map(|w| scope.spawn(|| work(w))).collect();
            let done = running.into_iter().map(|thread| thread.join().expect("no worker fails"));
            let (rate, cost) = done.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            (rate, cost / threads as f64)
        })
    }
}

/// Lets a worker work for as long as a turn: repetitions per second, and nanoseconds of processor time for one.
fn measured(worker: &mut Contestant, stride: u64, turn: Duration) -> (f64, f64) {
    let (began, began_working, mut done) = (Instant::now(), thread_time(), 0);
    loop {
        worker.repeat(stride);
        done += stride;
        let took = began.elapsed();
        if took >= turn {
            let worked = thread_time() - began_working;
            return (done as f64 / took.as_secs_f64(), worked.as_nanos() as f64 / done as f64);
        }
    }
}

/// What a load did with a number of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Throughput {
    /// Repetitions per second, of all threads together.
    pub rate: Series,
    /// Nanoseconds of processor time for one repetition. It grows where threads are in each other's way without
    /// waiting: where they write to the same memory.
    pub cost: Series,
}

/// Runs every load with each number of threads, in turn; by load and by number.
pub fn rates(loads: &mut [Load], threads: &[usize], plan: Plan) -> Vec<Vec<Throughput>> {
    let empty = Throughput { rate: Series(Vec::new()), cost: Series(Vec::new()) };
    let mut series = vec![vec![empty; threads.len()]; loads.len()];
    let turns = loads.len() * threads.len();
    for round in 0..plan.rounds {
        for turn in 0..turns {
            let turn = order(round, turn, turns);
            let (who, number) = (turn / threads.len(), turn % threads.len());
            let (rate, cost) = loads[who].run(threads[number], plan.turn);
            series[who][number].rate.0.push(rate);
            series[who][number].cost.0.push(cost);
        }
    }
    series
}

/// Times one worker beside each neighbour in turn, who works all the while on a thread of its own; beside nobody for `None`.
pub fn beside(worker: &mut Contestant, neighbours: &mut [Option<Contestant>], plan: Plan) -> Vec<Throughput> {
    let stride = repetitions(worker, Duration::from_micros(100));
    let empty = Throughput { rate: Series(Vec::new()), cost: Series(Vec::new()) };
    let mut series = vec![empty; neighbours.len()];
    for round in 0..plan.rounds {
        for turn in 0..neighbours.len() {
            let who = order(round, turn, neighbours.len());
            let (rate, cost) = run_beside(worker, stride, neighbours[who].as_mut(), plan.turn);
            series[who].rate.0.push(rate);
            series[who].cost.0.push(cost);
        }
    }
    series
}

fn run_beside(worker: &mut Contestant, stride: u64, other: Option<&mut Contestant>, turn: Duration) -> (f64, f64) {
    let (began, ended) = (Barrier::new(2), AtomicBool::new(false));
    let accompany = |other: Option<&mut Contestant>| {
        let Some(other) = other else {
            began.wait();
            return;
        };
        // As in `Load::run`; and on a machine with much to do a thread may get no other turn than this.
        other.repeat(1);
        began.wait();
        while !ended.load(Ordering::Relaxed) {
            other.repeat(1);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| accompany(other));
        began.wait();
        worker.repeat(stride);
        let done = measured(worker, stride, turn);
        ended.store(true, Ordering::Relaxed);
        done
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let series = Series(vec![40.0, 10.0, 30.0, 20.0]);
        assert_eq!(series.median(), 25.0);
        assert_eq!(series.quartiles(), (17.5, 32.5));
        assert_eq!(Series(vec![3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Series(vec![7.0]).quartiles(), (7.0, 7.0));
    }

    #[test]
    fn quotients_are_made_within_a_round() {
        let (a, b) = (Series(vec![1.0, 8.0, 3.0]), Series(vec![2.0, 2.0, 1.0]));
        assert_eq!(a.over(&b), Series(vec![0.5, 4.0, 3.0]));
    }

    #[test]
    fn everyone_has_one_turn_in_each_round() {
        for contestants in 1..7 {
            for round in 0..20 {
                let mut turns: Vec<_> = (0..contestants).map(|turn| order(round, turn, contestants)).collect();
                turns.sort_unstable();
                assert_eq!(turns, (0..contestants).collect::<Vec<_>>());
            }
        }
    }

    /// Work that only counts how often it is done.
    fn counter() -> (Contestant, Arc<AtomicU64>) {
        let done = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&done);
        let work = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        (Contestant::of("counter", work), done)
    }

    const PLAN: Plan = Plan { rounds: 5, turn: Duration::from_millis(1) };

    // How long something takes is not asserted: no test may fail because the machine is busy.

    #[test]
    fn everyone_is_timed_in_each_round() {
        let ((one, done_by_one), (other, done_by_other)) = (counter(), counter());
        let series = time(&mut [one, other], PLAN);
        assert!(series.iter().all(|series| series.0.len() == PLAN.rounds && series.median() > 0.0));
        for done in [done_by_one, done_by_other] {
            assert!(done.load(Ordering::Relaxed) > PLAN.rounds as u64);
        }
    }

    /// Goal: as many workers run as threads are asked for, and each load is run with each number.
    #[test]
    fn every_thread_works() {
        let ((one, done_by_one), (other, done_by_other)) = (counter(), counter());
        let mut loads = [Load::long(vec![one, other])];
        let series = rates(&mut loads, &[1], PLAN);
        assert_eq!(done_by_other.load(Ordering::Relaxed), 0);
        assert!(done_by_one.load(Ordering::Relaxed) > 0);
        assert!(series[0][0].rate.median() > 0.0);

        let series = rates(&mut loads, &[1, 2], PLAN);
        assert!(done_by_other.load(Ordering::Relaxed) > 0);
        assert_eq!((series.len(), series[0].len()), (1, 2));
        assert!(series[0].iter().all(|done| done.rate.0.len() == PLAN.rounds && done.cost.0.len() == PLAN.rounds));
    }

    /// Goal: the worker is measured beside nobody and beside somebody, who works too and stops with it.
    #[test]
    fn a_neighbour_works_all_the_while() {
        let ((mut worker, done), (neighbour, done_beside)) = (counter(), counter());
        let series = beside(&mut worker, &mut [None, Some(neighbour)], PLAN);
        assert!(series.iter().all(|done| done.rate.0.len() == PLAN.rounds && done.rate.median() > 0.0));
        let (worked, beside) = (done.load(Ordering::Relaxed), done_beside.load(Ordering::Relaxed));
        assert!(worked > 2 * PLAN.rounds as u64 && beside >= PLAN.rounds as u64, "{worked}, {beside}");
        thread::sleep(Duration::from_millis(5));
        assert_eq!(done_beside.load(Ordering::Relaxed), beside);
    }
}
