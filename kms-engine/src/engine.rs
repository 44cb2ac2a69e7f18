//! The engine: runs plans, commits what they want, and lets their replies go.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_utils::atomic::AtomicCell;
use kms_core::context::EncryptionContext;
use kms_core::crypto::blob::{self, PayloadKind};
use kms_core::gate::Gate;
use kms_core::id::{KeyId, RequestId};
use kms_core::model::{AccountStatus, Principal, Settings};
use kms_core::op::due::{self, DueReport};
use kms_core::op::{Ctx, Drawn, KeyRef, Outcome, Rotate, Rotation, crypt, datakey, rotation, service};
use kms_core::params::Params;
use kms_core::secret::SecretBytes;
use kms_core::time::Timestamp;
use kms_core::{Action, ErrorCode, KmsError};
use kms_secmem::lock::Mutex;
use kms_secmem::wiped::with_wiped_zeros;
use kms_store::mem_kv::MemKv;
use kms_store::raw::RawKv;
use kms_store::sled_kv::{SledKv, SledOptions};
use kms_store::{CommitError, Owner, Reader, Store, Touched};
use zeroize::Zeroizing;

use crate::access_keys::AccessKeys;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{self, Config, StoreLocation};
use crate::json;
use crate::os_rng::Entropy;
use crate::root_key::{RootKey, RootKeySource};
use crate::sweeper::Sweeper;
use crate::view::{CachedView, Hurry};

/// How often a plan is made again because something it had read has changed; more than any fair contention needs.
const ATTEMPTS: usize = 10_000;
/// How often an answer is made again because records came or went meanwhile. Behind that it stands as it is: a list of a
/// million keys beside a busy writer has no instant of its own.
const STEADY_ATTEMPTS: usize = 3;

/// The answer to [`Shared::call`].
pub struct Answer {
    /// Names the call; also in the JSON text.
    pub request_id: RequestId,
    /// The contract's JSON response, or why there is none.
    pub result: Result<Zeroizing<String>, KmsError>,
}

/// Seconds for which nobody tries again to make versions that are due, after one could not be committed.
const ROTATION_PAUSE: u64 = 60;

/// An open KMS: what can be asked of it is in [`Shared`]. Safe to use from many threads; dropping it ends the thread that does
/// what is due, if it has one, and closes the store.
pub struct Engine {
    // First: it is to end before what it works on does.
    _sweeper: Option<Sweeper>,
    shared: Arc<Shared>,
}

impl Deref for Engine {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}

/// What the users of an engine share, which is all of it.
pub struct Shared {
    store: Store,
    cache: Cache,
    pub(crate) access_keys: AccessKeys,
    clock: Clock,
    /// Held while a manual clock is turned on.
    advancing: Mutex<()>,
    entropy: Entropy,
    settings: Settings,
    /// The account's status, as of the last commit that set it.
    status: AtomicCell<AccountStatus>,
    /// A panic was caught: nobody can say what state this is in.
    broken: AtomicBool,
    /// Until when nobody tries to make versions that are due, in seconds since 1970.
    rotation_paused: AtomicU64,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("store", &self.store).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The configured root key, as the store asks for it.
struct Root(Option<RootKeySource>);

impl Root {
    fn bytes(key: &RootKey) -> SecretBytes {
        SecretBytes::copied_from(key.expose())
    }
}

impl kms_store::RootKey for Root {
    fn establish(&self) -> Result<(SecretBytes, Vec<u8>), KmsError> {
        let Some(source) = &self.0 else { return Ok((Self::bytes(&RootKey::random()?), Vec::new())) };
        let (key, kdf) = source.establish()?;
        let recipe = match kdf {
            Some(kdf) => serde_json::to_vec(&kdf).map_err(|_| ErrorCode::InternalFailure)?,
            None => Vec::new(),
        };
        Ok((Self::bytes(&key), recipe))
    }

    fn recall(&self, recipe: &[u8]) -> Result<SecretBytes, KmsError> {
        let source = self.0.as_ref().ok_or(ErrorCode::WrongRootKey)?;
        let damaged = |_| KmsError::with_detail(ErrorCode::StoreCorrupt, "the recipe of its root key cannot be read");
        let kdf = match recipe {
            [] => None,
            json => Some(serde_json::from_slice(json).map_err(damaged)?),
        };
        Ok(Self::bytes(&source.recall(kdf.as_ref())?))
    }
}

impl Engine {
    /// Opens the store that the configuration names, and makes it if it is not there.
    ///
    /// # Errors
    /// `KMS_INVALID_CONFIG`, `KMS_WRONG_ROOT_KEY`, `KMS_STORE_LOCKED`, `KMS_STORE_FOREIGN`, `KMS_STORE_CORRUPT`,
    /// `KMS_STORE_FULL` and `KMS_STORE_IO`.
    pub fn open(config: Config) -> Result<Self, KmsError> {
        // A key that cannot be had is told before anything is made on disk.
        if let Some(source @ (RootKeySource::Env(_) | RootKeySource::File { create: false, .. })) = &config.root_key {
            source.recall(None)?;
        }
        let raw: Box<dyn RawKv> = match &config.store {
            StoreLocation::Memory => Box::new(MemKv::new()),
            StoreLocation::Sled(path) => Box::new(SledKv::open(path, SledOptions::default())?),
        };
        Self::open_on(raw, config)
    }

    /// Opens an engine on a backend of the caller's; the configuration's `store` is not looked at.
    ///
    /// # Errors
    /// Those of [`Engine::open`].
    pub fn open_on(raw: Box<dyn RawKv>, config: Config) -> Result<Self, KmsError> {
        let entropy = Entropy::new(config.seed);
        let clock = Clock::new(config.clock);
        let configured = config.account_status;
        let owner = Owner {
            account: config.settings.account.clone(),
            region: config.settings.region.clone(),
            status: configured,
            configured,
        };
        let now = clock.to_remember(clock.now());
        let store = Store::open(raw, &Root(config.root_key), &owner, now, &mut &entropy)?;
        clock.at_least(store.latest());
        let stored = store.reader().owner()?;
        if (&stored.account, &stored.region) != (&owner.account, &owner.region) {
            return Err(config::invalid("the store belongs to another account_id or region"));
        }
        let status = if stored.configured == configured {
            stored.status
        } else {
            store.put_owner(owner, clock.to_remember(clock.now()), &mut &entropy)?;
            configured
        };
        let shared = Arc::new(Shared {
            access_keys: AccessKeys::read(&store)?,
            store,
            cache: Cache::new(config.cache),
            clock,
            advancing: Mutex::new(()),
            entropy,
            settings: config.settings,
            status: AtomicCell::new(status),
            broken: AtomicBool::new(false),
            rotation_paused: AtomicU64::new(0),
        });
        let sweeper = config.sweep.map(|period| Sweeper::start(&shared, period)).transpose()?;
        Ok(Self { _sweeper: sweeper, shared })
    }
}

impl Shared {
    /// A name for a call.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        // A call that fails for want of entropy still gets an answer.
        RequestId::random(&mut &self.entropy).unwrap_or(RequestId::from_bytes([0; 16]))
    }

    /// Makes the engine refuse everything from now on: a panic was caught, and nobody can vouch for its state.
    pub fn poison(&self) {
        self.broken.store(true, Ordering::Release);
        self.store.poison();
    }

    /// Calls an action by its name, with its parameters as a JSON object.
    #[must_use]
    pub fn call(&self, action: &str, params_json: &str) -> Answer {
        let request_id = self.request_id();
        let result = self
            .check()
            .and_then(|()| json::params(params_json))
            .and_then(|params| self.answer(None, action, &params))
            .map(|body| json::reply(body, &request_id));
        Answer { request_id, result }
    }

    /// Calls an action for somebody from outside, with the parameters of a request.
    #[must_use]
    pub fn call_as(&self, caller: &Principal, action: &str, params: &Params) -> Answer {
        let request_id = self.request_id();
        let result = self
            .check()
            .and_then(|()| self.answer(Some(caller), action, params))
            .map(|body| json::reply(body, &request_id));
        Answer { request_id, result }
    }

    /// What [`Self::call_as`] would answer, if that takes no longer than its cryptography and a look into the store. `None` for
    /// what writes or looks through lists, and for what would have to wait for a commit, its own or another call's: nothing
    /// has been done then.
    #[must_use]
    pub fn call_at_once(&self, action: &str, params: &Params) -> Option<Answer> {
        let row = Action::parse(action).filter(|row| row.uses_keys_only())?;
        let hurry = Hurry::default();
        let result = self.check().and_then(|()| self.check_account_for(Some(row))).and_then(|()| {
            let view = CachedView::new(&self.cache, &self.store, Some(&hurry));
            self.on_view(&view, Rotation::Beside(&Later { shared: self, hurry: &hurry }), |ctx| row.plan(params, ctx))
        });
        if hurry.has_given_up() {
            return None;
        }
        let request_id = self.request_id();
        Some(Answer { request_id, result: result.map(|outcome| json::reply(outcome.reply, &request_id)) })
    }

    fn answer(&self, caller: Option<&Principal>, action: &str, params: &Params) -> Result<Zeroizing<String>, KmsError> {
        let row = Action::parse(action);
        self.check_account_for(row)?;
        let action = match row {
            Some(row) => row,
            None if action.is_empty() => return Err(KmsError::missing("Action")),
            None => return Err(ErrorCode::UnsupportedOperation.into()),
        };
        if action.uses_keys_only() {
            let outcome = self.on_cache(|ctx| action.plan(params, ctx))?;
            debug_assert!(outcome.changes.is_empty(), "{}: it only uses keys", action.as_str());
            return Ok(outcome.reply);
        }
        self.execute(caller, |ctx| action.plan(params, ctx))
    }

    /// Plans, commits and, on conflict, plans again.
    pub(crate) fn execute<R>(
        &self,
        caller: Option<&Principal>,
        plan: impl Fn(&mut Ctx<'_>) -> Result<Outcome<R>, KmsError>,
    ) -> Result<R, KmsError> {
        let mut drawn = Drawn::default();
        for attempt in 0..ATTEMPTS {
            let now = self.clock.now();
            let reader = self.store.reader();
            let mut rng = &self.entropy;
            let rotation = if self.clock.is_steady(now) { Rotation::Planned } else { Rotation::Suspended };
            let mut ctx = Ctx::new(now, &mut rng, &reader, &self.settings).rotating(rotation).again(drawn);
            if let Some(caller) = caller {
                ctx = ctx.called_by(caller);
            }
            let outcome = plan(&mut ctx);
            drawn = ctx.into_drawn();
            let Outcome { reply, changes } = match outcome {
                Ok(outcome) if !outcome.changes.is_empty() => outcome,
                // An answer, a refusal too, rests on what was read.
                other => match reader.settle() {
                    Ok(()) if reader.is_torn() && attempt < STEADY_ATTEMPTS => continue,
                    Ok(()) => return other.map(|outcome| outcome.reply),
                    Err(CommitError::Conflict) => continue,
                    Err(CommitError::Failed(error)) => return Err(error),
                },
            };
            match self.commit(&reader, changes, now) {
                Ok(()) => return Ok(reply),
                Err(CommitError::Conflict) => {}
                Err(CommitError::Failed(error)) => return Err(error),
            }
        }
        Err(ErrorCode::ServiceUnavailableTemporary.into())
    }

    fn commit(&self, reader: &Reader<'_>, changes: Vec<kms_core::Change>, now: Timestamp) -> Result<(), CommitError> {
        let mut rng = &self.entropy;
        let latest = self.clock.to_remember(now);
        let prepared = self.store.prepare(reader, changes, latest, &mut rng).map_err(CommitError::Failed)?;
        self.store.commit(prepared, &mut rng, &|touched| self.invalidate(touched))
    }

    /// Ends the use of what a commit has made stale, before anybody is told of the commit.
    fn invalidate(&self, touched: &[Touched]) {
        self.cache.invalidate(touched);
        for record in touched {
            let reread = match record {
                Touched::Owner => self.store.reader().owner().map(|owner| self.status.store(owner.status)),
                Touched::AccessKey(id) => self.access_keys.reread(&self.store, id),
                _ => Ok(()),
            };
            if reread.is_err() {
                self.store.poison();
            }
        }
    }

    pub(crate) fn check(&self) -> Result<(), KmsError> {
        if self.broken.load(Ordering::Acquire) { Err(ErrorCode::InternalFailure.into()) } else { self.store.check() }
    }

    /// Whether a version that is due can be made now.
    fn may_rotate(&self) -> bool {
        let now = self.clock.now();
        self.clock.is_steady(now) && now.unix() >= self.rotation_paused.load(Ordering::Relaxed)
    }

    fn check_account(&self) -> Result<(), KmsError> {
        service::check_account(self.status.load())
    }

    /// The status of the account, for a call of this action or of one that there is not.
    fn check_account_for(&self, action: Option<Action>) -> Result<(), KmsError> {
        if action.is_some_and(Action::any_account_status) { Ok(()) } else { self.check_account() }
    }

    /// The first checks of every call (OP-10): before its parameters are looked at.
    pub(crate) fn admit(&self) -> Result<(), KmsError> {
        self.check()?;
        self.check_account()
    }

    pub(crate) fn key_ref<'k>(&self, text: &'k str, name: &'static str) -> Result<KeyRef<'k>, KmsError> {
        if text.is_empty() { Err(KmsError::missing(name)) } else { Ok(KeyRef::parse(text, &self.settings)) }
    }

    /// Runs an operation that writes nothing, and reads through the cache.
    pub(crate) fn on_cache<R>(
        &self,
        operation: impl FnOnce(&mut Ctx<'_>) -> Result<R, KmsError>,
    ) -> Result<R, KmsError> {
        let view = CachedView::new(&self.cache, &self.store, None);
        self.on_view(&view, Rotation::Beside(self), operation)
    }

    fn on_view<R>(
        &self,
        view: &CachedView<'_>,
        rotation: Rotation<'_>,
        operation: impl FnOnce(&mut Ctx<'_>) -> Result<R, KmsError>,
    ) -> Result<R, KmsError> {
        let mut rng = &self.entropy;
        let ctx = Ctx::new(self.clock.now(), &mut rng, view, &self.settings);
        operation(&mut ctx.rotating(rotation))
    }

    /// Encrypts up to 6144 bytes with the primary version of a symmetric key, named by id, ARN or alias. `context_json` is
    /// empty for no context. The blob is [`crate::BLOB_OVERHEAD`] bytes longer than the plaintext and goes to the front of
    /// `out`; its length is returned.
    ///
    /// # Errors
    /// Those of Encrypt, and `KMS_BUFFER_TOO_SMALL`.
    pub fn encrypt(
        &self,
        key_id: &str,
        plaintext: &[u8],
        context_json: &str,
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.admit()?;
        let key = self.key_ref(key_id, "KeyId")?;
        let context = parse_context(context_json, "EncryptionContext")?;
        self.seal(&key, plaintext, &context, out)
    }

    /// Encrypts for a call that has been admitted.
    #[inline]
    pub(crate) fn seal(
        &self,
        key: &KeyRef<'_>,
        plaintext: &[u8],
        context: &EncryptionContext,
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        let out = front(out, plaintext.len() + blob::OVERHEAD)?;
        let len = out.len();
        self.on_cache(|ctx| crypt::encrypt(key, PayloadKind::Bytes, plaintext, context, out, ctx))?;
        Ok(len)
    }

    /// Decrypts a blob into the front of `out`, which is written only on success, and returns the plaintext's length. A text
    /// that was encrypted through [`Shared::call`] comes as its UTF-8 bytes.
    ///
    /// # Errors
    /// Those of Decrypt, and `KMS_BUFFER_TOO_SMALL`.
    pub fn decrypt(&self, blob: &[u8], context_json: &str, out: &mut [u8]) -> Result<usize, KmsError> {
        self.admit()?;
        self.open_blob(blob, &parse_context(context_json, "EncryptionContext")?, out)
    }

    /// Decrypts for a call that has been admitted.
    #[inline]
    pub(crate) fn open_blob(
        &self,
        blob: &[u8],
        context: &EncryptionContext,
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.on_cache(|ctx| crypt::decrypt(blob, context, out, ctx)).map(|opened| opened.len)
    }

    /// Fills `data_key` (1 to 1024 bytes) with a new data key and puts its blob at the front of `out`; returns the blob's
    /// length. On failure both are unspecified.
    ///
    /// # Errors
    /// Those of GenerateDataKey, and `KMS_BUFFER_TOO_SMALL`.
    pub fn generate_data_key(
        &self,
        key_id: &str,
        data_key: &mut [u8],
        context_json: &str,
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.data_key(Gate::GenerateDataKey, key_id, data_key, context_json, out)
    }

    /// Puts the blob of a new data key of `number_of_bytes` at the front of `out` and returns the blob's length; the data key
    /// itself is not shown.
    ///
    /// # Errors
    /// Those of GenerateDataKeyWithoutPlaintext, and `KMS_BUFFER_TOO_SMALL`.
    pub fn generate_data_key_without_plaintext(
        &self,
        key_id: &str,
        number_of_bytes: usize,
        context_json: &str,
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        // One byte more than any data key may have is refused for its length, in its turn.
        with_wiped_zeros(number_of_bytes.min(datakey::MAX_LEN + 1), |data_key| {
            self.data_key(Gate::GenerateDataKeyWithoutPlaintext, key_id, data_key, context_json, out)
        })
    }

    fn data_key(
        &self,
        gate: Gate,
        key_id: &str,
        data_key: &mut [u8],
        context_json: &str,
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.admit()?;
        let key = self.key_ref(key_id, "KeyId")?;
        let context = parse_context(context_json, "EncryptionContext")?;
        let out = front(out, data_key.len() + blob::OVERHEAD)?;
        let len = out.len();
        self.on_cache(|ctx| datakey::generate(&key, gate, data_key, &context, out, ctx))?;
        Ok(len)
    }

    /// Decrypts a blob and encrypts what it held under another key or context; the plaintext does not leave the engine. The
    /// new blob has the old one's length, which is returned.
    ///
    /// # Errors
    /// Those of ReEncrypt, and `KMS_BUFFER_TOO_SMALL`.
    pub fn reencrypt(
        &self,
        blob: &[u8],
        source_context_json: &str,
        destination_key_id: &str,
        destination_context_json: &str,
        out: &mut [u8],
    ) -> Result<usize, KmsError> {
        self.admit()?;
        let key = self.key_ref(destination_key_id, "DestinationKeyId")?;
        let source = parse_context(source_context_json, "SourceEncryptionContext")?;
        let destination = parse_context(destination_context_json, "DestinationEncryptionContext")?;
        let out = front(out, blob.len())?;
        self.on_cache(|ctx| crypt::reencrypt(blob, &source, &key, &destination, out, ctx))?;
        Ok(blob.len())
    }

    /// Turns a manual clock on, by 0 seconds or more, once the store has recorded where it will stand.
    ///
    /// # Errors
    /// `KMS_CLOCK_NOT_MANUAL`, `InvalidParameter` and the store's.
    pub fn advance_clock(&self, seconds: i64) -> Result<(), KmsError> {
        self.check()?;
        // One at a time: two that start from one time would move it once.
        let _turn = self.advancing.lock();
        let then = self.clock.ahead(seconds)?;
        match self.commit(&self.store.reader(), Vec::new(), then) {
            Ok(()) => {
                self.clock.at_least(then);
                Ok(())
            }
            Err(CommitError::Failed(error)) => Err(error),
            // It has read nothing that could have changed.
            Err(CommitError::Conflict) => Err(ErrorCode::InternalFailure.into()),
        }
    }

    /// Does what is due: keys whose DeleteDate has come are removed, material and all; imported material that has expired is
    /// destroyed; keys whose rotation is due get their next version. Returns a report as a JSON object.
    ///
    /// # Errors
    /// The store's.
    pub fn run_due(&self) -> Result<String, KmsError> {
        serde_json::to_string(&self.sweep(|| true)?).map_err(|_| ErrorCode::InternalFailure.into())
    }

    /// [`Self::run_due`], for as long as it may go on.
    pub(crate) fn sweep(&self, may_go_on: impl Fn() -> bool) -> Result<DueReport, KmsError> {
        self.check()?;
        let destroyable = self.clock.destroyable_until();
        let mut total = DueReport { more: true, ..DueReport::default() };
        while total.more && may_go_on() {
            total.add(self.execute(None, |ctx| due::step(destroyable, ctx))?);
        }
        Ok(total)
    }
}

/// Leaves a version that is due to a call that may wait: making one takes a commit.
struct Later<'e> {
    shared: &'e Shared,
    hurry: &'e Hurry,
}

impl Rotate for Later<'_> {
    fn rotate(&self, _: &KeyId) {
        if self.shared.may_rotate() {
            self.hurry.give_up();
        }
    }
}

/// Called in the middle of a call that only uses keys. Threads that meet here plan the same, and all but one of them find, when
/// they plan again, that there is nothing left to do.
impl Rotate for Shared {
    fn rotate(&self, key: &KeyId) {
        if self.may_rotate() && self.execute(None, |ctx| rotation::rotate(key, ctx)).is_err() {
            // The present version goes on to encrypt; each call would try in vain, and a full disk makes that slow.
            self.rotation_paused.store(self.clock.now().plus(ROTATION_PAUSE).unix(), Ordering::Relaxed);
        }
    }
}

pub(crate) fn parse_context(json: &str, name: &'static str) -> Result<EncryptionContext, KmsError> {
    EncryptionContext::parse(json).map_err(|_| KmsError::invalid(name))
}

fn front(out: &mut [u8], len: usize) -> Result<&mut [u8], KmsError> {
    out.get_mut(..len).ok_or_else(|| KmsError::with_detail(ErrorCode::BufferTooSmall, "out"))
}
