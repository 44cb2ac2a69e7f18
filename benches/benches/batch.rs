//! Batches beside as many single calls, through the C interface.

use std::sync::Arc;

use kms_benches::abi::Kms;
use kms_benches::{batch, table};

fn main() {
    table::run(batch::groups(&Arc::new(Kms::open(c"memory:"))));
}
