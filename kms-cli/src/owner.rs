//! What the owner of a KMS may ask of it, whether a server has it open or not.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use kms_core::id::RequestId;
use kms_core::model::AccessKey;
use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use kms_engine::{Config, Engine, Shared};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Failure;
use crate::home::Home;
use crate::{secret, socket};

/// A question.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// Calls an action with parameters as a JSON object.
    Call {
        action: String,
        /// They go beside the rest.
        #[serde(skip)]
        params: Zeroizing<String>,
    },
    /// Does what is due.
    RunDue,
    CreateAccessKey {
        comment: String,
    },
    ListAccessKeys,
    EnableAccessKey {
        id: String,
        enabled: bool,
    },
    DeleteAccessKey {
        id: String,
    },
}

/// Why it was refused.
#[derive(Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    /// 0 for the library's own codes.
    pub(crate) http_status: u16,
    message: String,
    request_id: Option<String>,
}

impl Refusal {
    pub(crate) fn of(error: &KmsError, request_id: Option<RequestId>) -> Self {
        Self {
            code: error.code().as_str().to_owned(),
            http_status: error.code().http_status(),
            message: error.to_string(),
            request_id: request_id.map(|id| id.to_string()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if self.http_status != 0 {
            write!(f, " ({})", self.http_status)?;
        }
        write!(f, ": {}", self.message)?;
        self.request_id.as_ref().map_or(Ok(()), |id| write!(f, " RequestId {id}"))
    }
}

/// An answer: a JSON text, or why there is none.
pub(crate) type Reply = Result<Zeroizing<String>, Refusal>;

/// Asks an engine.
pub(crate) fn perform(engine: &Shared, request: &Request) -> Reply {
    let refused = |error: KmsError| Refusal::of(&error, None);
    let nothing = |()| Zeroizing::new("{}".to_owned());
    match request {
        Request::Call { action, params } => {
            let answer = engine.call(action, params);
            answer.result.map_err(|error| Refusal::of(&error, Some(answer.request_id)))
        }
        Request::RunDue => engine.run_due().map(Zeroizing::new).map_err(refused),
        Request::CreateAccessKey { comment } => {
            let key = engine.create_access_key(comment).map_err(refused)?;
            json(&Told::with_secret(&key)).map_err(refused)
        }
        Request::ListAccessKeys => {
            let keys = engine.access_keys();
            let keys = AccessKeys { access_keys: List { access_key: keys.iter().map(|key| Told::of(key)).collect() } };
            json(&keys).map_err(refused)
        }
        Request::EnableAccessKey { id, enabled } => {
            engine.enable_access_key(id, *enabled).map(nothing).map_err(refused)
        }
        Request::DeleteAccessKey { id } => engine.delete_access_key(id).map(nothing).map_err(refused),
    }
}

/// An AccessKey as it is shown, in the words of RAM.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Told<'k> {
    access_key_id: &'k str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_secret: Option<&'k str>,
    status: &'static str,
    create_date: Timestamp,
    comment: &'k str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKeys<'k> {
    access_keys: List<'k>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List<'k> {
    access_key: Vec<Told<'k>>,
}

impl<'k> Told<'k> {
    fn of(key: &'k AccessKey) -> Self {
        Self {
            access_key_id: key.id.as_str(),
            access_key_secret: None,
            status: if key.enabled { "Active" } else { "Inactive" },
            create_date: key.created,
            comment: &key.comment,
        }
    }

    fn with_secret(key: &'k AccessKey) -> Self {
        Self { access_key_secret: std::str::from_utf8(key.secret.expose()).ok(), ..Self::of(key) }
    }
}

/// The JSON text of something, written where it stays: a buffer that grows leaves copies behind.
fn json(told: &impl Serialize) -> Result<Zeroizing<String>, KmsError> {
    secret::json(told).map_err(|_| ErrorCode::InternalFailure.into())
}

/// How long the store may be somebody else's: a server that starts or ends, or another command.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// The one who holds the home folder: he opens the engine, or asks the server that has it open.
pub(crate) enum Owner {
    Here(Box<Engine>),
    There(socket::Client),
}

impl Owner {
    pub(crate) fn of(home: &Home) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut config = None;
        loop {
            // A server that is there has the store open, and needs no passphrase.
            if let Some(client) = socket::Client::connect(home.folder())? {
                return Ok(Self::There(client));
            }
            let config = match &config {
                Some(config) => config,
                None => config.insert(home.config()?),
            };
            match open(config)? {
                Some(engine) => return Ok(Self::Here(Box::new(engine))),
                None if begun.elapsed() < PATIENCE => thread::sleep(PAUSE),
                None => return Err(KmsError::from(ErrorCode::StoreLocked).into()),
            }
        }
    }

    pub(crate) fn ask(self, request: &Request) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Here(engine) => Ok(perform(&engine, request)?),
            Self::There(client) => client.ask(request),
        }
    }
}

/// Opens an engine to serve it, which nobody else may do.
pub(crate) fn open_to_serve(home: &Home) -> Result<Engine, Failure> {
    let config = home.config()?;
    let begun = Instant::now();
    loop {
        if socket::Client::connect(home.folder())?.is_some() {
            return Err(Failure::Cannot(format!("{} is being served already", home.folder().display())));
        }
        match open(&config)? {
            Some(engine) => return Ok(engine),
            None if begun.elapsed() < PATIENCE => thread::sleep(PAUSE),
            None => return Err(KmsError::from(ErrorCode::StoreLocked).into()),
        }
    }
}

/// The engine, unless somebody else has it open.
fn open(config: &str) -> Result<Option<Engine>, KmsError> {
    match Engine::open(Config::parse(config)?) {
        Err(error) if error.code() == ErrorCode::StoreLocked => Ok(None),
        opened => opened.map(Some),
    }
}
