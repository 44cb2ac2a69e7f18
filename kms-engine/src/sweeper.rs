//! The thread that does what is due, for hosts that do not call for it themselves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kms_core::{ErrorCode, KmsError};
use kms_secmem::lock::{Condvar, Mutex};

use crate::engine::Shared;

/// Runs from its start until it is dropped, which waits for the thread to end.
pub(crate) struct Sweeper {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Signal {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    /// Waits for so long, or until it is told to stop. Whether it was.
    fn wait(&self, period: Duration) -> bool {
        self.changed.wait_while(self.stopped.lock(), period, |stopped| !*stopped).1
    }
}

impl Sweeper {
    /// Starts a thread that does what is due once in each period.
    pub(crate) fn start(engine: &Arc<Shared>, period: Duration) -> Result<Self, KmsError> {
        let (signal, engine) = (Arc::<Signal>::default(), Arc::clone(engine));
        let of_thread = Arc::clone(&signal);
        let run = move || {
            while !of_thread.wait(period) {
                let sweep = || engine.sweep(|| !*of_thread.stopped.lock());
                match catch_unwind(AssertUnwindSafe(sweep)) {
                    // What could not be done now is due the next time too, and whoever calls is told what is wrong.
                    Ok(_) => {}
                    Err(_) => return engine.poison(),
                }
            }
        };
        let thread = thread::Builder::new().name("kms-sweep".to_owned()).spawn(run);
        let thread = thread.map_err(|error| KmsError::with_detail(ErrorCode::InternalFailure, error.to_string()))?;
        Ok(Self { signal, thread: Some(thread) })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        *self.signal.stopped.lock() = true;
        self.signal.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It ends with what it does at the moment. It cannot have panicked.
            let _ = thread.join();
        }
    }
}
