//! Stores of a thousand keys and of a million, side by side: what opening one costs, how much memory it takes, and whether
//! using, making and listing keys costs more where there are more. Further sizes are named as arguments:
//! `-- 1000 1000000 5000000`. The first is what the others are compared with.
//!
//! `KMS_BENCH_DIR` names the directory; without it cargo's own for temporary files is taken. A store of a million keys takes
//! some minutes to fill, and a gigabyte or two. `KMS_BENCH_KEEP=1` leaves the stores there for the next time.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kms_benches::arguments::{Arguments, Mode};
use kms_benches::layer::SPEC;
use kms_benches::machine::thread_time;
use kms_benches::rounds::{Load, Plan, Series, rates, time};
use kms_benches::scale::{Costs, Filled, First, RARE, Took, call, create_key, total, with_gone};
use kms_benches::{Contestant, machine};
use kms_engine::Engine;
use serde_json::{Value, json};

const SIZES: [u64; 2] = [1_000, 1_000_000];
const QUICK: Plan = Plan { rounds: 15, turn: Duration::from_millis(1) };
const FULL: Plan = Plan { rounds: 201, turn: Duration::from_millis(2) };
/// For loads that wait for the disk.
const QUICK_DISK: Plan = Plan { rounds: 3, turn: Duration::from_millis(200) };
const FULL_DISK: Plan = Plan { rounds: 21, turn: Duration::from_millis(500) };
/// How many first uses are timed in each store.
const FIRST_USES: usize = 20_000;
/// How many keys are used in one store before it is the other's turn.
const STRIDE: usize = 50;
/// How many entries the engine caches while first uses are timed: fewer than the smallest store has keys.
const SMALL_CACHE: usize = 100;
const LIVE: u64 = 1_000;
const GONE: u64 = 20_000;

fn main() {
    let program: Vec<String> = env::args().collect();
    match program.iter().skip(1).map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", parent, keys] => Filled::fill_and_crash(Path::new(parent), number(keys)).expect("there is space"),
        ["costs", parent, keys] => {
            let costs = Costs::of(&find(Path::new(parent), number(keys)));
            println!("{}", serde_json::to_string(&costs).expect("they can be written"));
        }
        _ => compare(&Arguments::of_program()),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("this program wrote it")
}

fn find(parent: &Path, keys: u64) -> Filled {
    Filled::find(parent, keys).expect("the directory can be read").expect("the store was filled")
}

/// Runs a part of this program in a process of its own and returns what it prints.
fn apart(part: &str, parent: &Path, keys: u64) -> Vec<u8> {
    let mut command = Command::new(env::current_exe().expect("this program has a path"));
    let output = command.arg(part).arg(parent).arg(keys.to_string()).stderr(Stdio::inherit()).output();
    let output = output.expect("this program can be started");
    assert!(output.status.success(), "{part} {keys}");
    output.stdout
}

fn compare(arguments: &Arguments) {
    let parent = env::var_os("KMS_BENCH_DIR").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let temporary = tempfile::tempdir_in(&parent).expect("KMS_BENCH_DIR can be written to");
    let keep = env::var_os("KMS_BENCH_KEEP").is_some();
    let directory = if keep { parent.join("scale") } else { temporary.path().to_owned() };
    let (plan, disk_plan, sizes, gone) = match arguments.mode {
        Mode::Check => (Plan { rounds: 1, ..QUICK }, Plan { rounds: 1, ..QUICK_DISK }, vec![100, 300], 300),
        Mode::Quick => (QUICK, QUICK_DISK, arguments.numbers(&SIZES), GONE),
        Mode::Full => (FULL, FULL_DISK, arguments.numbers(&SIZES), GONE),
        Mode::Count(_) => return,
    };
    println!("{}\n{}", machine::description(), directory.display());
    println!("{} rounds with turns of {} ms; medians\n", plan.rounds, plan.turn.as_millis());
    let stores: Vec<Filled> = sizes.iter().map(|keys| filled(&directory, *keys)).collect();
    for store in &stores {
        costs(&directory, store);
    }
    println!("\nin use, beside the store of {} keys", stores[0].keys);
    let engines: Vec<Arc<Engine>> = stores.iter().map(|store| Arc::new(store.open(&json!({})))).collect();
    hot(&stores, &engines, plan);
    first_pages(&stores, &engines, plan);
    walks(&stores, &engines);
    // Last, since the stores are then larger than they are said to be.
    made(&stores, &engines, disk_plan);
    drop(engines);
    first_uses(&stores, if arguments.mode == Mode::Full { FIRST_USES } else { FIRST_USES / 20 });
    println!("\n{LIVE} keys with an alias each, beside them {gone} that are past their DeleteDate and not swept away");
    for (first, name) in [(First::Live, "behind them"), (First::Gone, "before them")] {
        lists_beside_gone(&temporary.path().join(format!("gone-{first:?}")), gone, first, name);
    }
}

/// The store of this size, as it is or as a process makes it that then dies.
fn filled(directory: &Path, keys: u64) -> Filled {
    let found = Filled::find(directory, keys).expect("the directory can be read");
    found.unwrap_or_else(|| {
        let began = Instant::now();
        drop(apart("fill", directory, keys));
        let took = began.elapsed();
        let store = find(directory, keys);
        store.warm().expect("its files can be read");
        let (opened, engine) = Took::of(|| store.open(&json!({})));
        assert_eq!(total(&engine), keys, "no key is lost");
        drop(engine);
        print!("{keys} keys: filled in {:.1} s, {} bytes a key;", took.as_secs_f64(), bytes(&store) / keys);
        println!(" opened after a crash of the session that made them all in {}", times(&[opened]));
        store
    })
}

/// Medians.
fn times(took: &[Took]) -> String {
    let (wall, processor): (Series, Series) =
        (took.iter().map(|took| took.wall).collect(), took.iter().map(|took| took.processor).collect());
    format!("{:.1} ms ({:.1} ms of the processor's time)", wall.median(), processor.median())
}

fn bytes(store: &Filled) -> u64 {
    store.size().expect("its files have a size")
}

/// What it costs to open a store, in time and memory.
fn costs(directory: &Path, store: &Filled) {
    store.warm().expect("its files can be read");
    let told = apart("costs", directory, store.keys);
    let costs: Costs = serde_json::from_slice(&told).expect("this program wrote it");
    let mib = |bytes: u64| bytes >> 20;
    println!("\n{} keys, {} MiB on disk", store.keys, mib(bytes(store)));
    println!("  opens in {}, closes in {}", times(&costs.open), times(&costs.close));
    print!("  memory in MiB: {} before it is opened, {} open", mib(costs.before), mib(costs.opened));
    for (keys, bytes) in &costs.used {
        print!(", {} when {keys} keys were used", mib(*bytes));
    }
    println!(", {} when all were looked through, {} at most", mib(costs.filtered), mib(costs.peak));
}

/// A row of a table: times by store, in nanoseconds, and in proportion to those of the first.
fn row(name: &str, stores: &[Filled], series: &[Series]) {
    for (store, own) in stores.iter().zip(series) {
        let ratio = own.median() / series[0].median();
        println!("  {name:<34} {:>9} keys {:>13.2} µs {ratio:>8.2}", store.keys, own.median() / 1e3);
    }
}

/// A key that is used all the time.
fn hot(stores: &[Filled], engines: &[Arc<Engine>], plan: Plan) {
    let user = |(store, engine): (&Filled, &Arc<Engine>)| {
        let (engine, key) = (Arc::clone(engine), store.sample[store.sample.len() / 2].clone());
        let mut blob = [0; 200];
        Contestant::of("Encrypt", move || {
            let _ = engine.encrypt(&key, &[0; 32], "", &mut blob).expect("the key is there");
        })
    };
    let mut users: Vec<Contestant> = stores.iter().zip(engines).map(user).collect();
    row("Encrypt 32 B, a hot key", stores, &time(&mut users, plan));
}

/// The first page of a list, with the total.
fn first_pages(stores: &[Filled], engines: &[Arc<Engine>], plan: Plan) {
    let reader = |engine: &Arc<Engine>| {
        let engine = Arc::clone(engine);
        Contestant::of("ListKeys", move || {
            let _ = engine.call("ListKeys", "{}").result.expect("it lists");
        })
    };
    let mut readers: Vec<Contestant> = engines.iter().map(reader).collect();
    row("ListKeys, first page", stores, &time(&mut readers, plan));
}

/// Keys that are made by one thread.
fn made(stores: &[Filled], engines: &[Arc<Engine>], plan: Plan) {
    let maker = |engine: &Arc<Engine>| {
        let engine = Arc::clone(engine);
        Load::long(vec![Contestant::of("CreateKey", move || drop(create_key(&engine, SPEC)))])
    };
    let mut makers: Vec<Load> = engines.iter().map(maker).collect();
    let of_one = |rate: f64| 1e9 / rate;
    let series: Vec<Series> = rates(&mut makers, &[1], plan)
        .iter()
        .map(|load| [of_one(load[0].rate.median())].into_iter().collect())
        .collect();
    row("CreateKey, one thread, on disk", stores, &series);
}

/// Lists that must walk through all.
fn walks(stores: &[Filled], engines: &[Arc<Engine>]) {
    let last = |engine: &Engine| json!({ "PageNumber": total(engine).div_ceil(10) });
    let filter = json!({ "Filters": json!([{ "Key": "KeySpec", "Values": [RARE] }]).to_string() });
    let walk = |of: &dyn Fn(&Engine) -> Value| -> Vec<Series> {
        let took = |engine: &Arc<Engine>| {
            let params = of(engine);
            let one = |_| {
                let began = thread_time();
                let reply = call(engine, "ListKeys", &params);
                assert!(!reply["Keys"]["Key"].as_array().expect("it is a list").is_empty());
                (thread_time() - began).as_nanos() as f64
            };
            (0..3).map(one).collect()
        };
        engines.iter().map(took).collect()
    };
    row("ListKeys, last page", stores, &walk(&last));
    row("ListKeys, a filter for one key", stores, &walk(&|_| filter.clone()));
}

/// The first use of keys that the engine has not cached.
fn first_uses(stores: &[Filled], uses: usize) {
    let engines: Vec<Engine> = stores.iter().map(|store| store.open(&json!({ "cache": SMALL_CACHE }))).collect();
    let mut times = vec![Vec::with_capacity(uses); stores.len()];
    let mut blob = [0; 200];
    for stride in 0..uses / STRIDE {
        for ((store, engine), own) in stores.iter().zip(&engines).zip(&mut times) {
            for i in stride * STRIDE..(stride + 1) * STRIDE {
                // A step that has no divisor in common with the number of keys meets each before it meets one again.
                let key = &store.sample[i * 7_919 % store.sample.len()];
                let began = thread_time();
                let _ = engine.encrypt(key, &[0; 32], "", &mut blob).expect("the key is there");
                own.push((thread_time() - began).as_nanos() as f64);
            }
        }
    }
    let series: Vec<Series> = times.into_iter().map(|own| own.into_iter().collect()).collect();
    row("Encrypt 32 B, first use", stores, &series);
    let most: Vec<Series> = series.iter().map(|own| [own.quantile(0.99)].into_iter().collect()).collect();
    row("  99 of 100 within", stores, &most);
}

/// Lists beside keys that are gone.
fn lists_beside_gone(path: &Path, gone: u64, first: First, name: &str) {
    let engine = with_gone(path, LIVE, gone, first);
    for action in ["ListKeys", "ListAliases"] {
        let took = |_| {
            let began = thread_time();
            assert_eq!(call(&engine, action, &json!({}))["TotalCount"], LIVE);
            (thread_time() - began).as_nanos() as f64 / 1e6
        };
        let opened = took(0);
        let then: Series = (0..21).map(took).collect();
        println!("  {action:<14} first page, the gone {name}: {opened:>8.2} ms at first, then {:.3} ms", then.median());
    }
}
