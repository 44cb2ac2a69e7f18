//! Goal: no client costs the others more than the limits allow, and every answer is one that an SDK can read.
//!
//! Method: real sockets on loopback addresses, a client that misbehaves in one way at a time, and after each of them a
//! normal request that must be answered at once.

mod clients;
mod files;
mod harness;
mod panics;
mod stop;
mod world;
