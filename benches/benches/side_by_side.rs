//! Every layer at every task, in alternating rounds: nanoseconds, and the speed in proportion to ring's.

use std::sync::Arc;

use kms_benches::abi::Kms;
use kms_benches::layer::InEngine;
use kms_benches::{Contestant, Operation, Task, table};

fn main() {
    let kms = Arc::new(Kms::open(c"memory:"));
    let mut groups: Vec<_> = Task::ALL.into_iter().map(|task| (task.to_string(), task.contestants(&kms))).collect();
    for len in [32, 6144] {
        let task = Task { operation: Operation::Encrypt, len };
        let specs = ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128", "Aliyun_SM4"];
        let contestants = specs.map(|spec| Contestant::new(task, InEngine::new(spec)));
        groups.push((format!("{task} by key spec"), contestants.into()));
    }
    table::run(groups);
}
