//! Every way in which a call can fail: one table.
//!
//! A row is a code's Rust name, its number in the C interface, the text clients see, its HTTP status and its message.
//! Numbers never change and are never used again; new rows are appended. `docs/errors.md` and the constants of
//! `include/kms.h` come from here.

use std::borrow::Cow;
use std::fmt;

use crate::rng::EntropyError;

macro_rules! errors {
    (
        contract { $($name:ident = $number:literal, $code:literal, $http:literal, $message:literal;)* }
        local { $($local:ident = $local_number:literal, $local_code:literal, $local_message:literal;)* }
    ) => {
        /// Why a call failed. Codes below 1000 are the contract's and reach every client; from 1000 on they are
        /// this library's own, concern the handle or the store, and have no HTTP status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $code, "`: ", $message)] $name = $number,)*
            $(#[doc = concat!("`", $local_code, "`: ", $local_message)] $local = $local_number,)*
        }

        impl ErrorCode {
            /// Every code, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)* $(Self::$local,)*];

            /// The text that clients compare, for example `Rejected.Disabled`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* $(Self::$local => $local_code,)* }
            }

            /// The HTTP status that goes with the code; 0 for this library's own codes.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)* $(Self::$local => 0,)* }
            }

            /// The message, with `{}` where a detail stands.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* $(Self::$local => $local_message,)* }
            }
        }
    };
}

errors! {
    contract {
        InternalFailure = 1, "InternalFailure", 500, "Internal Failure.";
        ServiceUnavailableTemporary = 2, "ServiceUnavailableTemporary", 503, "Service Unavailable Temporary.";
        AccessKeyNotFound = 3, "InvalidAccessKeyId.NotFound", 404,
            "The AccessKey ID provided does not exist in our records.";
        KeyNotFound = 4, "Forbidden.KeyNotFound", 404, "The specified Key is not found.";
        KeyVersionNotFound = 5, "Forbidden.KeyVersionNotFound", 404, "The specified Key version is not found.";
        AliasNotFound = 6, "Forbidden.AliasNotFound", 404, "The specified Alias is not found.";
        NoPermission = 7, "Forbidden.NoPermission", 403, "This operation is forbidden by permission system.";
        AccessKeyDisabled = 8, "Forbidden.AccessKey", 403, "This AccessKey is not enabled.";
        UnsupportedHttpMethod = 9, "UnsupportedHTTPMethod", 403, "This http method is not supported.";
        UbsmsInvalidUserid = 10, "Forbidden.UbsmsInvalidUserid", 403, "Userid Invalid For Ubsms.";
        UbsmsInvalidBid = 11, "Forbidden.UbsmsInvalidBid", 403, "Your account partner does not have KMS Service.";
        KmsServiceNotEnabled = 12, "Forbidden.KmsServiceNotEnabled", 403,
            "Kms service is not Enabled for current user. Please get access permission first.";
        ProhibitedByRiskControl = 13, "Forbidden.ProhibitedByRiskControl", 403,
            "Current user is Prohibited By Risk Control.";
        InDebtOverdue = 14, "Forbidden.InDebtOverdue", 403, "Current user is indebted Overdue.";
        InDebt = 15, "Forbidden.InDebt", 403, "Current user is indebted.";
        ParseRequestParameter = 16, "ParseRequestParameterException", 400,
            "Server parse parameters exception. Please check your input params.";
        MissingParameter = 17, "MissingParameter", 400, "The parameter \"{}\" is needed but not provided.";
        InvalidParameter = 18, "InvalidParameter", 400, "The specified parameter \"{}\" is not valid.";
        IncompleteSignature = 19, "IncompleteSignature", 400,
            "The request signature does not conform to Alibaba Cloud standards.";
        IllegalTimestamp = 20, "IllegalTimestamp", 400,
            "The input parameter \"Timestamp\" that is required for processing this request is not supplied.";
        LimitExceeded = 21, "Rejected.LimitExceeded", 400,
            "The request was rejected because user create resource limit was exceeded.";
        AliasAlreadyExists = 22, "AliasAlreadyExists", 400, "AliasName Already Exists.";
        InvalidKeyMaterial = 23, "InvalidKeyMaterial", 400, "key material is invalid.";
        InvalidImportToken = 24, "InvalidImportToken", 400, "import token is invalid.";
        ExpiredImportToken = 25, "ExpiredImportToken", 400, "import token is expired.";
        UnsupportedOrigin = 26, "Unsupported.Origin", 400, "This key origin is not valid for this api.";
        UnsupportedAlias = 27, "Unsupported.Alias", 400, "Alias is not valid for this api.";
        UnsupportedProtectionLevel = 28, "Unsupported.ProtectionLevel", 400,
            "This protection level is not valid for this region";
        StateModifiedFailed = 29, "Rejected.StateModifiedFailed", 409, "Keystate modified failed.";
        KeyDisabled = 30, "Rejected.Disabled", 409, "The request was rejected because the key state is Disabled.";
        KeyPendingDeletion = 31, "Rejected.PendingDeletion", 409,
            "The request was rejected because the key state is PendingDeletion.";
        KeyPendingImport = 32, "Rejected.PendingImport", 409,
            "The request was rejected because the key state is PendingImport.";
        KeyEnabled = 33, "Rejected.Enabled", 409, "The request was rejected because the key state is Enabled.";
        Throttling = 34, "Throttling", 400, "Request was denied due to request throttling.";
        QpsLimitExceeded = 35, "Rejected.Throttling", 429, "The QPS upper limit is exceeded.";
        ResourceNotFound = 36, "Forbidden.ResourceNotFound", 404, "The resource is not found.";
        ResourceExist = 37, "Rejected.ResourceExist", 409, "The resource already exists.";
        ResourceInDeleteWindow = 38, "Rejected.ResourceInDeleteWindow", 409, "The secret is planned to be deleted.";
        CertificateNotFound = 39, "Certificate.NotFound", 404, "The specified certificate is not found.";
        CreateOrderFailed = 40, "CreateLXOrderFailed", 400, "Create order failed.";
        NoRealNameAuthentication = 41, "Forbidden.NoRealNameAuthentication", 400,
            "Real name authentication is needed.";
        AlreadyOpened = 42, "Forbidden.Opened", 400, "Your kms service has been opened.";
        OperationRejected = 43, "Rejected.UnsupportedOperation", 400, "Unsupported operation.";
        UnsupportedOperation = 44, "UnsupportedOperation", 400, "This action is not supported.";
        ActionNotFound = 45, "InvalidAction.NotFound", 404,
            "Specified api is not found, please check your url and method.";
        TimestampExpired = 46, "InvalidTimeStamp.Expired", 400, "Specified time stamp or date value is expired.";
        SignatureNonceUsed = 47, "SignatureNonceUsed", 400, "Specified signature nonce was used already.";
        SignatureDoesNotMatch = 48, "SignatureDoesNotMatch", 400,
            "Specified signature is not matched with our calculation. server string to sign is:{}";
        ResourceInUse = 49, "Rejected.ResourceInUse", 409, "restore normal secret";
        InvalidRequest = 50, "Rejected.InvalidRequest", 400, "param mismatch";
        DuplicateTagKey = 51, "Duplicate.TagKey", 400, "The specified tagKey is duplicate.";
        KeyUnavailable = 52, "Rejected.Unavailable", 409,
            "The request was rejected because the key state is Unavailable.";
        DryRun = 53, "DryRunOperationError", 400, "The request would have succeeded, but DryRun was set.";
    }
    local {
        NullArgument = 1000, "KMS_NULL_ARGUMENT", "The argument {} is NULL.";
        InvalidUtf8 = 1001, "KMS_INVALID_UTF8", "The argument {} is not UTF-8.";
        InvalidConfig = 1002, "KMS_INVALID_CONFIG", "The configuration is not valid: {}.";
        AbiMismatch = 1003, "KMS_ABI_MISMATCH", "The program was built for another version of this library.";
        BufferTooSmall = 1004, "KMS_BUFFER_TOO_SMALL", "The output buffer {} is too small.";
        WrongRootKey = 1005, "KMS_WRONG_ROOT_KEY", "The root key does not open this store.";
        StoreLocked = 1006, "KMS_STORE_LOCKED", "The store is open elsewhere.";
        StoreForeign = 1007, "KMS_STORE_FOREIGN", "This is not a store of this engine: {}.";
        StoreCorrupt = 1008, "KMS_STORE_CORRUPT", "The store is damaged: {}.";
        StoreFull = 1009, "KMS_STORE_FULL", "No space is left for the store; nothing was changed.";
        StorePoisoned = 1010, "KMS_STORE_POISONED", "The store failed earlier; close it and open it again.";
        Forked = 1011, "KMS_FORKED", "The engine, or what its store runs on, belongs to the parent process.";
        ClockNotManual = 1012, "KMS_CLOCK_NOT_MANUAL", "The clock of this engine cannot be set by hand.";
        Closed = 1013, "KMS_CLOSED", "The handle is closed.";
        Overlap = 1014, "KMS_OVERLAP", "The output {} overlaps an input.";
        StoreIo = 1015, "KMS_STORE_IO", "The store cannot be read or written: {}.";
    }
}

impl ErrorCode {
    /// The number that the C interface returns for this code.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// A failed call: the code, and what the message names.
#[derive(Clone, PartialEq, Eq)]
pub struct KmsError {
    code: ErrorCode,
    detail: Option<Cow<'static, str>>,
}

impl KmsError {
    /// An error whose message names `detail`: a parameter, an argument, or what is wrong with the place.
    pub fn with_detail(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: Some(detail.into()) }
    }

    /// `MissingParameter` for this parameter.
    #[must_use]
    pub fn missing(parameter: &'static str) -> Self {
        Self::with_detail(ErrorCode::MissingParameter, parameter)
    }

    /// `InvalidParameter` for this parameter.
    #[must_use]
    pub fn invalid(parameter: &'static str) -> Self {
        Self::with_detail(ErrorCode::InvalidParameter, parameter)
    }

    /// The code of the failure.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The parameter, argument or circumstance that the message names.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

impl From<ErrorCode> for KmsError {
    fn from(code: ErrorCode) -> Self {
        Self { code, detail: None }
    }
}

impl From<EntropyError> for KmsError {
    fn from(_: EntropyError) -> Self {
        ErrorCode::InternalFailure.into()
    }
}

/// The message for people; clients compare the code.
impl fmt::Display for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.message().split_once("{}") {
            None => f.write_str(self.code.message()),
            Some((before, after)) => write!(f, "{before}{}{after}", self.detail.as_deref().unwrap_or("-")),
        }
    }
}

impl fmt::Debug for KmsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.code.as_str())
    }
}

impl std::error::Error for KmsError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The contract's codes, each with its HTTP status, against the table, both ways.
    #[test]
    fn the_table_holds_every_code_of_the_contract() {
        let mut contract = BTreeMap::new();
        for line in include_str!("../../contract/errors.csv").lines().skip(1) {
            let mut cells = line.split(',');
            let (code, http) = (cells.next().unwrap(), cells.next().unwrap());
            contract.insert(code, http.parse::<u16>().unwrap());
        }
        let ours: BTreeMap<_, _> = ErrorCode::ALL
            .iter()
            .filter(|code| code.number() < 1000)
            .map(|code| (code.as_str(), code.http_status()))
            .collect();
        assert_eq!(ours, contract);
    }

    /// The numbers are part of the C interface: this list only ever grows at its ends.
    #[test]
    fn numbers_are_dense_and_never_move() {
        let numbers: Vec<i32> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        let expected: Vec<i32> = (1..=53).chain(1000..=1015).collect();
        assert_eq!(numbers, expected);
        assert_eq!(ErrorCode::KeyDisabled.number(), 30);
        assert_eq!(ErrorCode::Closed.number(), 1013);
    }

    #[test]
    fn the_message_names_the_parameter() {
        assert_eq!(KmsError::missing("KeyId").to_string(), "The parameter \"KeyId\" is needed but not provided.");
        assert_eq!(KmsError::invalid("Plaintext").to_string(), "The specified parameter \"Plaintext\" is not valid.");
    }
}
