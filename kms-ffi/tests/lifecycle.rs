//! Goal: an engine can be closed under running calls, and inherited by a forked child, without a crash, a hang or a
//! wrong answer.

mod common;

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ::kms::*;
use common::*;
use serde_json::json;

/// A handle that threads may share, as C threads would.
#[derive(Clone, Copy)]
struct Shared(*mut kms);

// SAFETY: the contract of the C interface: any number of threads may use a handle at once.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(self) -> *mut kms {
        self.0
    }
}

/// Encrypts and looks at the answer, without the error object, as fast as it can.
fn encrypt(engine: Shared, key_id: &CString) -> kms_status {
    let mut out = [0; 128];
    let mut len = 0;
    // SAFETY: good arguments.
    unsafe {
        kms_encrypt(
            engine.get(),
            key_id.as_ptr(),
            b"x".as_ptr(),
            1,
            std::ptr::null(),
            out.as_mut_ptr(),
            out.len(),
            &raw mut len,
            null_mut(),
        )
    }
}

#[test]
fn after_close_every_function_answers_closed() {
    let mut world = World::new(CONFIG);
    close(world.engine);
    for (name, outcome) in world.every_function() {
        assert_eq!((outcome.status, outcome.code.as_str()), (KMS_CLOSED, "KMS_CLOSED"), "{name}");
    }
    world.untouched();
    // And again, by hand and by the end of the test.
    close(world.engine);
}

/// Method: threads call as fast as they can, while one closes; from the moment that it has returned no call succeeds.
#[test]
fn closed_under_running_calls() {
    for _ in 0..50 {
        let world = World::new(CONFIG);
        let engine = Shared(world.engine);
        let closed = AtomicBool::new(false);
        let ready = AtomicUsize::new(0);
        thread::scope(|scope| {
            for turn in 0..4 {
                let (world_key, closed, ready) = (&world.key_id, &closed, &ready);
                scope.spawn(move || {
                    let mut first = true;
                    loop {
                        let was_closed = closed.load(Ordering::SeqCst);
                        let status = if turn == 0 {
                            call(engine.get(), "CreateKey", &json!({}))
                                .map_or_else(|outcome| outcome.status, |_| KMS_OK)
                        } else {
                            encrypt(engine, world_key)
                        };
                        if status == KMS_CLOSED {
                            return;
                        }
                        assert_eq!(status, KMS_OK);
                        assert!(!was_closed, "a call succeeded after kms_close had returned");
                        if std::mem::take(&mut first) {
                            ready.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            while ready.load(Ordering::SeqCst) < 4 {
                thread::yield_now();
            }
            // Two at once: one of them closes.
            scope.spawn(move || close(engine.get()));
            close(engine.get());
            while encrypt(engine, &world.key_id) == KMS_OK {}
            closed.store(true, Ordering::SeqCst);
        });
    }
}

/// Runs `body` in a forked child and tells whether it was content. A child that hangs is ended by an alarm.
fn in_child(body: impl FnOnce()) -> bool {
    // SAFETY: the child uses only its own memory and the functions under test, and leaves by _exit.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork failed");
        if child == 0 {
            libc::alarm(60);
            let content = catch_unwind(AssertUnwindSafe(body)).is_ok();
            libc::_exit(i32::from(!content));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

#[track_caller]
fn works(world: &mut World) {
    world.decrypt().run().ok();
    assert_eq!(world.out[..world.out_len], world.plaintext);
    create_key(world.engine, &json!({}));
    world.taint();
}

#[track_caller]
fn is_forked(world: &mut World) {
    for (name, outcome) in world.every_function() {
        assert_eq!((outcome.status, outcome.code.as_str()), (KMS_FORKED, "KMS_FORKED"), "{name}");
        assert_eq!(outcome.request_id, "");
    }
    world.untouched();
}

#[test]
fn a_child_is_told_that_it_is_one() {
    let mut world = World::new(CONFIG);
    assert!(in_child(|| is_forked(&mut world)));
    assert!(in_child(|| {
        close(world.engine);
        is_forked(&mut world);
        close(world.engine);
    }));
    works(&mut world);
}

#[test]
fn a_child_opens_its_own_and_has_children() {
    let mut world = World::new(CONFIG);
    assert!(in_child(|| {
        let mut own = World::new(CONFIG);
        works(&mut own);
        assert!(in_child(|| is_forked(&mut own)));
        works(&mut own);
        is_forked(&mut world);
    }));
    works(&mut world);
}

/// Goal: a child that comes into being while other threads are inside calls, opens and closes finds nothing that is
/// held for ever by one of them.
#[test]
fn forked_amid_calls() {
    let mut world = World::new(CONFIG);
    let engine = Shared(world.engine);
    let key_id = world.key_id.clone();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(encrypt(engine, &key_id), KMS_OK);
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                call(engine.get(), "CreateKey", &json!({})).unwrap();
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                close(open(CONFIG));
            }
        });
        let content = (0..50).all(|_| {
            thread::sleep(Duration::from_millis(1));
            in_child(|| {
                is_forked(&mut world);
                close(world.engine);
                // More than are kept unused, so that some would be the parent's if it were not seen whose they are.
                for _ in 0..100 {
                    close(open(CONFIG));
                }
                works(&mut World::new(CONFIG));
            })
        });
        stop.store(true, Ordering::Relaxed);
        assert!(content);
    });
    works(&mut world);
}

/// Goal: what a child does to an inherited handle does nothing to the parent's store.
#[test]
fn a_child_leaves_the_store_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sled:{}", directory.path().join("store").display());
    let config = json!({ "store": store, "root_key": { "hex": "07".repeat(32) } });
    let config = CString::new(config.to_string()).unwrap();
    let mut world = World::new(&config);
    assert!(in_child(|| {
        is_forked(&mut world);
        close(world.engine);
        let mut other = null_mut();
        let again =
            Open { abi_version: KMS_ABI_VERSION, config: config.as_ptr(), host: std::ptr::null(), out: &raw mut other };
        assert_eq!(again.run().status, KMS_STORE_LOCKED, "the parent has it");
    }));
    works(&mut world);
    close(world.engine);
    world.engine = open(&config);
    works(&mut world);
}

/// Goal: errors and texts are plain memory, of which a child has its own copy, and which outlives the engine.
#[test]
fn errors_and_texts_outlive_engine_and_process() {
    let engine = open(CONFIG);
    let mut text = null_mut();
    let mut error = null_mut();
    // SAFETY: good arguments; the objects are freed once in each process.
    unsafe {
        assert_eq!(kms_call(engine, c"ListKeys".as_ptr(), c"{}".as_ptr(), &raw mut text, null_mut()), KMS_OK);
        let status = kms_call(engine, c"DescribeKey".as_ptr(), c"{}".as_ptr(), null_mut(), &raw mut error);
        assert_eq!(status, KMS_NULL_ARGUMENT);
    }
    close(engine);
    let read_and_free = || {
        assert!(take(text).starts_with('{'));
        // SAFETY: as above.
        unsafe {
            assert_eq!(kms_error_status(error), KMS_NULL_ARGUMENT);
            kms_error_free(error);
        }
    };
    assert!(in_child(read_and_free));
    read_and_free();
}
