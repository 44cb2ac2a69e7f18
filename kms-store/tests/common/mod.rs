//! Stores of every kind for the suites that run against each.

use std::ops::Deref;

use kms_store::fault::FaultKv;
use kms_store::mem_kv::MemKv;
use kms_store::raw::{Direction, RawKv, Stored, Write};
use kms_store::sled_kv::{SledKv, SledOptions};
use tempfile::TempDir;

/// A backend together with whatever it lives in.
pub(crate) struct Subject<K> {
    pub(crate) kv: K,
    _dir: Option<TempDir>,
}

impl<K> Deref for Subject<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.kv
    }
}

pub(crate) fn mem() -> Subject<MemKv> {
    Subject { kv: MemKv::new(), _dir: None }
}

pub(crate) fn fault() -> Subject<FaultKv> {
    Subject { kv: FaultKv::new(), _dir: None }
}

pub(crate) fn sled() -> Subject<SledKv> {
    let dir = tempfile::tempdir().unwrap();
    Subject { kv: SledKv::open(dir.path(), SledOptions::default()).unwrap(), _dir: Some(dir) }
}

pub(crate) fn put(key: &[u8], value: &[u8]) -> Write {
    Write::Put { key: key.to_vec(), value: value.to_vec() }
}

pub(crate) fn delete(key: &[u8]) -> Write {
    Write::Delete { key: key.to_vec() }
}

pub(crate) fn everything(kv: &impl RawKv) -> Vec<(Vec<u8>, Stored)> {
    kv.scan(b"", None, usize::MAX, Direction::Forward).unwrap()
}

/// Runs each of the named checks, functions over the way a store is made, against every backend.
macro_rules! for_every_backend {
    ($($check:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $check() { super::$check(crate::common::mem); })*
        }
        mod faulty {
            $(#[test] fn $check() { super::$check(crate::common::fault); })*
        }
        mod sled {
            $(#[test] fn $check() { super::$check(crate::common::sled); })*
        }
    };
}

pub(crate) use for_every_backend;
