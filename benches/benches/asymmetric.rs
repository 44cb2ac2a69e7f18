//! Signatures and public-key encryption through the C ABI beside the library that does the arithmetic, called directly.

use std::sync::Arc;

use kms_benches::abi::Kms;
use kms_benches::{asymmetric, table};

fn main() {
    table::run(asymmetric::groups(&Arc::new(Kms::open(c"memory:"))));
}
