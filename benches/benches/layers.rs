//! Every layer at every task, with the reports of criterion.

use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kms_benches::Task;
use kms_benches::abi::Kms;

fn layers(criterion: &mut Criterion) {
    let kms = Arc::new(Kms::open(c"memory:"));
    for task in Task::ALL {
        let mut group = criterion.benchmark_group(task.to_string());
        group.throughput(Throughput::Bytes(task.len as u64));
        for mut contestant in task.contestants(&kms) {
            let name = contestant.name().to_owned();
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    let began = Instant::now();
                    contestant.repeat(times);
                    began.elapsed()
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    // 52 measurements; the defaults would take seven minutes.
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(1500));
    targets = layers
}
criterion_main!(benches);
