//! Makes the calls whose instructions callgrind counts, and tells what it was that it made. `cargo xtask instructions`
//! runs it.
//!
//! A line `processor` with what programs see of it, and one `libc`; then for each count a line `count`, how many calls it is
//! of, and their name. Each count is one run of [`kms_benches_counted`], in the same order.

#![expect(clippy::print_stdout, reason = "its output is read by another program")]

use kms_benches::{Contestant, instructions, machine};

/// Counts of each kind of call: what happens now and then falls into one of them, and not into their median.
const COUNTS: usize = 3;
/// Calls before the first count: more than it takes until a key has all its tables.
const WARM_UP: u64 = 20;

/// What callgrind dumps and empties its counters at.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn kms_benches_counted(work: &mut Contestant, times: u64) {
    work.repeat(times);
}

fn main() {
    println!("processor {}", machine::visible_features());
    println!("libc {}", machine::libc_version());
    for mut calls in instructions::all() {
        calls.work.repeat(WARM_UP);
        for _ in 0..COUNTS {
            kms_benches_counted(&mut calls.work, calls.times);
            println!("count {} {}", calls.times, calls.name);
        }
    }
}
