//! What the HTTP front does before it calls the engine: reading a request and checking its signature.

use kms_benches::{signature, table};

fn main() {
    table::run(signature::groups());
}
