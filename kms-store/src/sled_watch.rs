//! Wakes whoever waits inside sled for a write that has failed.
//!
//! sled writes its log in threads of its own, and who needs a write waits for it. When the last user of a buffer hands it
//! over to be written and the write fails, sled records the error and forgets to wake those who wait: a commit on a disk
//! that has just become full would wait for ever, and with it, since sled has one lock for all databases of a process, every
//! commit of every store. But whatever is to write next finds the recorded error, wakes everybody, and fails. So somebody
//! looks at the record now and then, and is the next to write.

use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kms_secmem::lock::{Condvar, Mutex};
use sled::Db;

/// How often to look: how much longer than a failed write a call may take.
const INTERVAL: Duration = Duration::from_millis(50);
/// A tree that no database of ours has. To make it is a write that takes none of sled's locks which a waiting call holds.
const NO_TREE: &[u8] = b"kms-store-watch";

/// The thread that looks after one database. It has a reference to the database until it is stopped.
pub(crate) struct Watch {
    end: Arc<End>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct End {
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Watch {
    pub(crate) fn start(db: &Db) -> io::Result<Self> {
        let end = Arc::new(End::default());
        let (db, theirs) = (db.clone(), Arc::clone(&end));
        let thread = thread::Builder::new().name("kms-store-watch".into()).spawn(move || watch(&db, &theirs))?;
        Ok(Self { end, thread })
    }

    /// Ends the thread, and waits until it has let go of the database.
    pub(crate) fn stop(self) {
        *self.end.wanted.lock() = true;
        self.end.changed.notify_one();
        // It does not panic; if it did, it would have let go as well.
        let _ = self.thread.join();
    }

    /// Forgets the thread, in a forked child, where it is not.
    pub(crate) fn abandon(self) {
        let _ = ManuallyDrop::new(self);
    }
}

fn watch(db: &Db, end: &End) {
    let mut wanted = end.wanted.lock();
    while !*wanted {
        (wanted, _) = end.changed.wait_while(wanted, INTERVAL, |wanted| !*wanted);
        // An error stays recorded until sled is closed, so this writes nothing.
        if db.context.global_error().is_err() {
            let _ = catch_unwind(AssertUnwindSafe(|| db.open_tree(NO_TREE).map(drop)));
        }
    }
}
