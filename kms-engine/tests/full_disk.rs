//! A full disk under an engine: changes are refused with KMS_STORE_FULL and leave nothing behind, everything else goes on,
//! and changes go on once there is space.

mod common;
#[path = "../../kms-store/tests/small_disk/mod.rs"]
mod small_disk;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use kms_core::ErrorCode;
use kms_engine::{Config, Engine};
use kms_store::fault::{FaultDisk, SyncFault};
use serde_json::{Value, json};

use common::{Blob, Call, Model, State, Text, open};
use small_disk::SmallDisk;

/// An engine's work, and what of it was acknowledged.
#[derive(Default)]
struct Work {
    model: Model,
    blobs: Vec<Blob>,
    calls: usize,
}

impl Work {
    /// Makes one change. The only failure there may be is that the disk is full.
    fn change(&mut self, engine: &Engine) -> bool {
        self.calls += 1;
        let call = self.model.next_call(0, &self.calls.to_string());
        match call.make(engine) {
            Ok(new_key) => {
                self.model.apply(&call, new_key);
                true
            }
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::StoreFull, "{call:?}: {error}");
                false
            }
        }
    }

    /// Makes changes until one is refused.
    fn change_until_full(&mut self, engine: &Engine) {
        while self.change(engine) {
            assert!(self.calls < 100_000, "the disk does not fill");
        }
    }

    /// Encrypts with every key that is enabled, in both ways.
    fn encrypt(&mut self, engine: &Engine) {
        let enabled = self.model.keys.iter().filter(|(_, facts)| facts.state == State::Enabled);
        for (number, (key, _)) in enabled.enumerate() {
            self.blobs.push(Blob::make(engine, key, number.is_multiple_of(2), vec![number as u8; 32]).unwrap());
        }
    }

    /// Reads everything and decrypts everything.
    #[track_caller]
    fn compare(&self, engine: &Engine) {
        assert_eq!(Model::read(engine), self.model);
        for blob in &self.blobs {
            blob.check(engine, self.model.keys[&blob.key].state);
        }
    }
}

#[test]
fn a_full_disk_refuses_changes_and_goes_on_with_the_rest() {
    for round in 0..3 {
        let disk = SmallDisk::new(20 * 1024);
        let engine = open(disk.path()).unwrap();
        let mut work = Work::default();
        while work.calls < 40 {
            assert!(work.change(&engine));
        }
        work.encrypt(&engine);
        let filler = disk.fill_except((1 << 20) * (4 + round) + 4096 * round);
        work.change_until_full(&engine);

        // Every kind of change is tried on the full disk: it is done or refused.
        for _ in 0..60 {
            work.change(&engine);
        }
        work.compare(&engine);
        work.encrypt(&engine);
        work.compare(&engine);

        drop(engine);
        let engine = open(disk.path()).unwrap();
        work.compare(&engine);
        work.encrypt(&engine);
        work.change_until_full(&engine);
        work.compare(&engine);

        filler.remove();
        for _ in 0..40 {
            assert!(work.change(&engine), "there is space");
        }
        work.compare(&engine);
        drop(engine);
        let engine = open(disk.path()).unwrap();
        work.compare(&engine);
        assert!(work.change(&engine));
    }
}

/// Many threads read a key while one changes it on a disk that fills. Nobody is told of a change that was refused, and
/// nobody waits for one.
#[test]
fn readers_never_see_what_was_refused() {
    let disk = SmallDisk::new(20 * 1024);
    let engine = &open(disk.path()).unwrap();
    let create = |label: String| Call::CreateKey { spec: "Aliyun_AES_256".into(), description: Text::new(label, 8000) };
    let key = &create("new".into()).make(engine).unwrap().unwrap().key;
    disk.fill_except(5 << 20);
    let (done, seen) = (&AtomicBool::new(false), &Mutex::new(HashSet::new()));
    let mut refused = HashSet::new();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let reply = common::call(engine, "DescribeKey", &json!({ "KeyId": key })).unwrap();
                    let description = reply["KeyMetadata"]["Description"].as_str().unwrap();
                    seen.lock().unwrap().insert(Text::read(description).label);
                }
            });
        }
        for number in 0.. {
            assert!(number < 100_000, "the disk does not fill");
            let description = Text::new(format!("change-{number}"), 4000);
            let label = description.label.clone();
            if let Err(error) = (Call::Describe { key: key.clone(), description }).make(engine) {
                assert_eq!(error.code(), ErrorCode::StoreFull);
                refused.insert(label);
            }
            // Changes of one key alone would fill nothing: the space of the old ones is used again.
            if let Err(error) = create(format!("filler-{number}")).make(engine) {
                assert_eq!(error.code(), ErrorCode::StoreFull);
            }
            if refused.len() == 30 {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 10, "the readers have seen little: {seen:?}");
    assert!(seen.is_disjoint(&refused), "{:?}", seen.intersection(&refused));
}

/// No store is made where there is no space for one, and none is spoilt by the attempt.
#[test]
fn a_store_that_does_not_fit_is_not_made() {
    let disk = SmallDisk::new(8 * 1024);
    let filler = disk.fill_except(4096);
    for _ in 0..2 {
        assert_eq!(open(disk.path()).unwrap_err().code(), ErrorCode::StoreFull);
    }
    filler.remove();
    let engine = open(disk.path()).unwrap();
    let mut work = Work::default();
    assert!(work.change(&engine));
    work.compare(&engine);
}

/// A change is visible for a moment before the disk turns out to be full. Who reads it then must not be told of it, nor
/// wait for it for ever, nor keep it in a cache.
#[test]
fn a_change_that_is_taken_back_is_told_to_nobody() {
    for action in ["DisableKey", "EnableKey", "DeleteAlias", "CreateKey"] {
        let disk = FaultDisk::new();
        let root_key = json!({ "hex": "07".repeat(32) });
        let config = Config::parse(&json!({ "store": "memory:", "root_key": root_key }).to_string()).unwrap();
        let engine = Arc::new(Engine::open_on(Box::new(disk.reopen()), config).unwrap());
        let create = Call::CreateKey { spec: "Aliyun_AES_256".into(), description: Text::new("only", 0) };
        let key = create.make(&engine).unwrap().unwrap().key;
        common::call(&engine, "CreateAlias", &json!({ "KeyId": key, "AliasName": "alias/a" })).unwrap();
        let mut state = State::Enabled;
        if action == "EnableKey" {
            common::call(&engine, "DisableKey", &json!({ "KeyId": key })).unwrap();
            state = State::Disabled;
        }
        let (by_id, by_alias) = (json!({ "KeyId": key }), json!({ "KeyId": "alias/a" }));
        let queries = [
            ("DescribeKey", by_id.clone()),
            ("DescribeKey", by_alias),
            ("ListKeys", json!({})),
            ("ListAliases", json!({})),
        ];
        let before = queries.clone().map(|(query, params)| ask(&engine, query, &params));

        let gate = disk.hold_syncs();
        disk.at_next_sync(SyncFault::Full);
        let params = match action {
            "DeleteAlias" => json!({ "AliasName": "alias/a" }),
            "CreateKey" => json!({}),
            _ => by_id,
        };
        let writer =
            in_thread(&engine, move |engine| common::call(engine, action, &params).map_err(|error| error.code()));
        assert!(gate.wait(PATIENCE));
        let answers =
            queries.clone().map(|(query, params)| in_thread(&engine, move |engine| ask(engine, query, &params)));
        // Nothing of the key or the alias is in the cache yet.
        let encrypts = in_thread(&engine, encrypt);
        // Time enough to read what is visible.
        thread::sleep(Duration::from_millis(100));
        drop(gate);
        assert_eq!(writer.recv_timeout(PATIENCE), Ok(Err(ErrorCode::StoreFull)), "{action}");
        let expected = if state == State::Enabled { Ok(()) } else { Err(ErrorCode::KeyDisabled) };
        assert_eq!(encrypts.recv_timeout(PATIENCE), Ok(expected), "{action}");
        // What the cache holds now is what the store says.
        assert_eq!(encrypt(&engine), expected, "{action}");
        for (answer, before) in answers.iter().zip(before) {
            assert_eq!(answer.recv_timeout(PATIENCE), Ok(before), "{action}");
        }
    }
}

/// Encrypts under the key that the alias stands for.
fn encrypt(engine: &Engine) -> Result<(), ErrorCode> {
    Blob::make(engine, "alias/a", false, b"x".to_vec()).map(drop).map_err(|error| error.code())
}

/// The answer to a call, without what makes it differ from others like it.
fn ask(engine: &Engine, action: &str, params: &Value) -> Result<Value, ErrorCode> {
    let mut reply = common::call(engine, action, params).map_err(|error| error.code())?;
    reply["RequestId"].take();
    Ok(reply)
}

/// How long an answer may take that nothing holds up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `work` in a thread, which may hang: then nothing is received.
fn in_thread<T: Send + 'static>(
    engine: &Arc<Engine>,
    work: impl FnOnce(&Engine) -> T + Send + 'static,
) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    let engine = Arc::clone(engine);
    thread::spawn(move || sender.send(work(&engine)));
    receiver
}
