//! What the owner of a KMS may ask of it, whether a server has it open or not.

use std::fmt;

use kms_core::id::RequestId;
use kms_core::model::AccessKey;
use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use kms_engine::{Engine, Shared};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Failure;
use crate::home::Home;
use crate::socket;

/// A question.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// Calls an action with parameters as a JSON object.
    Call {
        action: String,
        #[serde(with = "wiped")]
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

/// An answer on its way to another process.
#[derive(Serialize, Deserialize)]
pub(crate) enum Sent {
    Told(#[serde(with = "wiped")] Zeroizing<String>),
    Refused(Refusal),
}

/// Texts that may be secret. `Zeroizing` itself is not serialized, so that no secret is by oversight.
mod wiped {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

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
    const ROOM: usize = 2048;
    let mut text = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut text, told).map_err(|_| ErrorCode::InternalFailure)?;
    String::from_utf8(text).map(Zeroizing::new).map_err(|_| ErrorCode::InternalFailure.into())
}

/// The one who holds the home folder: he opens the engine, or asks the server that has it open.
pub(crate) enum Owner {
    Here(Engine),
    There(socket::Client),
}

impl Owner {
    pub(crate) fn of(home: &Home) -> Result<Self, Failure> {
        // A server that is there has the store open, and needs no passphrase.
        if let Some(client) = socket::Client::connect(&home.file(socket::NAME)).map_err(Failure::at(socket::NAME))? {
            return Ok(Self::There(client));
        }
        home.open().map(Self::Here)
    }

    pub(crate) fn ask(self, request: &Request) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Here(engine) => Ok(perform(&engine, request)?),
            Self::There(client) => Ok(client.ask(request).map_err(Failure::at(socket::NAME))??),
        }
    }
}
