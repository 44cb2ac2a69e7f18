//! The front: from a request to a reply, without a socket and without a clock.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use kms_core::model::Principal;
use kms_core::params::Params;
use kms_core::time::Timestamp;
use kms_core::{ErrorCode, KmsError};
use kms_engine::Engine;

use crate::auth::nonce::Nonces;
use crate::auth::{self, Caller, Window};
use crate::respond::{Format, Reply};
use crate::rpc::Parameters;
use crate::xml;

/// A request as it came in, whole.
#[derive(Clone, Copy)]
pub struct Incoming<'r> {
    /// The method.
    pub method: &'r Method,
    /// The path, without the query.
    pub path: &'r str,
    /// What stands behind the question mark; empty if there is none.
    pub query: &'r str,
    /// The headers, Host among them.
    pub headers: &'r HeaderMap,
    /// The body; empty if there is none.
    pub body: &'r [u8],
}

/// How strict the front is.
#[derive(Clone, Debug)]
pub struct FrontOptions {
    /// How far a request's time stamp may be from now, to either side (OP-03).
    pub skew: Duration,
    /// Whether a request may come only once (OP-02).
    pub check_nonces: bool,
    /// How many nonces are remembered at most; 26 to 53 bytes each. With fewer than come within `skew`, requests whose time stamp
    /// is older than what is remembered are refused.
    pub nonces: usize,
}

impl Default for FrontOptions {
    fn default() -> Self {
        Self { skew: Duration::from_mins(15), check_nonces: true, nonces: 4_000_000 }
    }
}

/// Turns requests into calls of an engine, and what it answers into replies.
pub struct Front {
    engine: Arc<Engine>,
    skew: u64,
    nonces: Option<Nonces>,
}

/// A request that has been let in.
pub struct Call {
    principal: Principal,
    action: String,
    params: Params,
    format: Format,
}

impl Front {
    /// A front of `engine`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, options: FrontOptions) -> Self {
        let skew = options.skew.as_secs();
        Self { engine, skew, nonces: options.check_nonces.then(|| Nonces::new(options.nonces, skew)) }
    }

    /// Lets a request in: the first two steps of the order of checks (OP-10), which are about the request, not about what it
    /// asks for. `now` is the time by the wall clock, whatever clock the engine has.
    ///
    /// # Errors
    /// The reply to a request that is not let in.
    pub fn admit(&self, incoming: &Incoming<'_>, now: Timestamp) -> Result<Call, Reply> {
        // Until the request says otherwise.
        let mut format = Format::Json;
        self.read(incoming, now, &mut format).map_err(|error| self.refusal(format, &error))
    }

    fn read(&self, incoming: &Incoming<'_>, now: Timestamp, format: &mut Format) -> Result<Call, KmsError> {
        let Incoming { method, path, query, headers, body } = *incoming;
        if !matches!(*method, Method::GET | Method::POST) {
            return Err(ErrorCode::UnsupportedHttpMethod.into());
        }
        if !matches!(path, "" | "/") {
            return Err(ErrorCode::ActionNotFound.into());
        }
        let parameters = Parameters::read(method, query, headers, body)?;
        *format = Format::parse(parameters.text("Format"))?;
        let request = auth::Request { method, headers, body, parameters: &parameters };
        let window = Window { now, skew: self.skew };
        let Caller { key, action } =
            auth::caller(&request, &window, self.nonces.as_ref(), |id| self.engine.access_key(id))?;
        let unfit = |text: &str| !xml::can_hold(text);
        if *format == Format::Xml && parameters.iter().any(|each| unfit(&each.name) || unfit(&each.text)) {
            return Err(KmsError::invalid("Format"));
        }
        let principal = Principal { account: key.account.clone() };
        Ok(Call { principal, action, params: parameters.into_params()?, format: *format })
    }

    /// Does what a request asks for if that is short and waits for nothing, so that a thread which serves others may do it by
    /// the way.
    ///
    /// # Errors
    /// The call as it was: it is one for [`Self::perform`].
    pub fn try_perform(&self, call: Call) -> Result<Reply, Call> {
        match self.guarded(call.format, || self.engine.call_at_once(&call.action, &call.params)) {
            Ok(Some(answer)) => Ok(Reply::of(call.format, answer)),
            Ok(None) => Err(call),
            Err(reply) => Ok(reply),
        }
    }

    /// Does what a request asks for, however long it takes.
    #[must_use]
    pub fn perform(&self, call: Call) -> Reply {
        let Call { principal, action, params, format } = call;
        let answer = self.guarded(format, || self.engine.call_as(&principal, &action, &params));
        answer.map_or_else(|reply| reply, |answer| Reply::of(format, answer))
    }

    /// Lets the engine work. If it panics, nobody can say what state it is in, and it refuses everything from now on.
    fn guarded<T>(&self, format: Format, work: impl FnOnce() -> T) -> Result<T, Reply> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
            self.engine.poison();
            self.refusal(format, &ErrorCode::InternalFailure.into())
        })
    }

    /// The reply to what cannot even be made a request of.
    #[must_use]
    pub fn refuse(&self, error: &KmsError) -> Reply {
        self.refusal(Format::Json, error)
    }

    fn refusal(&self, format: Format, error: &KmsError) -> Reply {
        Reply::refusal(format, self.engine.request_id(), error)
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// Without the parameters' texts: a plaintext may be among them.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("action", &self.action).field("params", &self.params).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use kms_engine::Config;

    use super::*;

    #[test]
    fn a_panic_is_answered_and_ends_the_engine() {
        let engine = Arc::new(Engine::open(Config::parse(r#"{"store":"memory:"}"#).unwrap()).unwrap());
        let front = Front::new(Arc::clone(&engine), FrontOptions::default());
        assert!(engine.call("ListKeys", "{}").result.is_ok());
        let reply = front.guarded::<()>(Format::Xml, || panic!("a defect")).unwrap_err();
        assert_eq!((reply.status, reply.content_type), (500, "text/xml; charset=utf-8"));
        assert!(reply.body.contains("<Code>InternalFailure</Code>"));
        let later = engine.call("ListKeys", "{}").result.unwrap_err();
        assert_eq!(later.code(), ErrorCode::InternalFailure);
    }
}
