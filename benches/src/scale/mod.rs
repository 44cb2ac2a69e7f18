//! Stores of a thousand keys and of millions.

mod bulk;
mod filled;
mod gone;
mod memory;

pub use bulk::Bulk;
pub use filled::{Filled, RARE, call, config, create_key, filler, total};
pub use gone::{First, with_gone};
pub use memory::{Costs, Took};
