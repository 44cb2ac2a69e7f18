//! The numbers that functions return.
//!
//! The rows are those of the engine's table of errors. They are written out, because a header generator sees neither
//! what a macro makes nor what a function computes; the test below holds them against the table, name by name.

/// What a function returns: KMS_OK, or why it failed. Numbers from 1 on are codes of the KMS API, which every client of
/// a KMS knows; those from 1000 on are this library's own and concern the handle, the arguments or the store. A number
/// never changes its meaning and is never used again; later versions add new ones.
#[expect(non_camel_case_types, reason = "the name is C's")]
pub type kms_status = i32;

/// The call has succeeded, and its outputs are written.
pub const KMS_OK: kms_status = 0;

/// InternalFailure, HTTP 500: Internal Failure.
pub const KMS_INTERNAL_FAILURE: kms_status = 1;
/// ServiceUnavailableTemporary, HTTP 503: Service Unavailable Temporary.
pub const KMS_SERVICE_UNAVAILABLE_TEMPORARY: kms_status = 2;
/// InvalidAccessKeyId.NotFound, HTTP 404: The AccessKey ID provided does not exist in our records.
pub const KMS_ACCESS_KEY_NOT_FOUND: kms_status = 3;
/// Forbidden.KeyNotFound, HTTP 404: The specified Key is not found.
pub const KMS_KEY_NOT_FOUND: kms_status = 4;
/// Forbidden.KeyVersionNotFound, HTTP 404: The specified Key version is not found.
pub const KMS_KEY_VERSION_NOT_FOUND: kms_status = 5;
/// Forbidden.AliasNotFound, HTTP 404: The specified Alias is not found.
pub const KMS_ALIAS_NOT_FOUND: kms_status = 6;
/// Forbidden.NoPermission, HTTP 403: This operation is forbidden by permission system.
pub const KMS_NO_PERMISSION: kms_status = 7;
/// Forbidden.AccessKey, HTTP 403: This AccessKey is not enabled.
pub const KMS_ACCESS_KEY_DISABLED: kms_status = 8;
/// UnsupportedHTTPMethod, HTTP 403: This http method is not supported.
pub const KMS_UNSUPPORTED_HTTP_METHOD: kms_status = 9;
/// Forbidden.UbsmsInvalidUserid, HTTP 403: Userid Invalid For Ubsms.
pub const KMS_UBSMS_INVALID_USERID: kms_status = 10;
/// Forbidden.UbsmsInvalidBid, HTTP 403: Your account partner does not have KMS Service.
pub const KMS_UBSMS_INVALID_BID: kms_status = 11;
/// Forbidden.KmsServiceNotEnabled, HTTP 403: Kms service is not Enabled for current user. Please get access permission
/// first.
pub const KMS_KMS_SERVICE_NOT_ENABLED: kms_status = 12;
/// Forbidden.ProhibitedByRiskControl, HTTP 403: Current user is Prohibited By Risk Control.
pub const KMS_PROHIBITED_BY_RISK_CONTROL: kms_status = 13;
/// Forbidden.InDebtOverdue, HTTP 403: Current user is indebted Overdue.
pub const KMS_IN_DEBT_OVERDUE: kms_status = 14;
/// Forbidden.InDebt, HTTP 403: Current user is indebted.
pub const KMS_IN_DEBT: kms_status = 15;
/// ParseRequestParameterException, HTTP 400: Server parse parameters exception. Please check your input params.
pub const KMS_PARSE_REQUEST_PARAMETER: kms_status = 16;
/// MissingParameter, HTTP 400: The parameter "..." is needed but not provided.
pub const KMS_MISSING_PARAMETER: kms_status = 17;
/// InvalidParameter, HTTP 400: The specified parameter "..." is not valid.
pub const KMS_INVALID_PARAMETER: kms_status = 18;
/// IncompleteSignature, HTTP 400: The request signature does not conform to Alibaba Cloud standards.
pub const KMS_INCOMPLETE_SIGNATURE: kms_status = 19;
/// IllegalTimestamp, HTTP 400: The input parameter "Timestamp" that is required for processing this request is not
/// supplied.
pub const KMS_ILLEGAL_TIMESTAMP: kms_status = 20;
/// Rejected.LimitExceeded, HTTP 400: The request was rejected because user create resource limit was exceeded.
pub const KMS_LIMIT_EXCEEDED: kms_status = 21;
/// AliasAlreadyExists, HTTP 400: AliasName Already Exists.
pub const KMS_ALIAS_ALREADY_EXISTS: kms_status = 22;
/// InvalidKeyMaterial, HTTP 400: key material is invalid.
pub const KMS_INVALID_KEY_MATERIAL: kms_status = 23;
/// InvalidImportToken, HTTP 400: import token is invalid.
pub const KMS_INVALID_IMPORT_TOKEN: kms_status = 24;
/// ExpiredImportToken, HTTP 400: import token is expired.
pub const KMS_EXPIRED_IMPORT_TOKEN: kms_status = 25;
/// Unsupported.Origin, HTTP 400: This key origin is not valid for this api.
pub const KMS_UNSUPPORTED_ORIGIN: kms_status = 26;
/// Unsupported.Alias, HTTP 400: Alias is not valid for this api.
pub const KMS_UNSUPPORTED_ALIAS: kms_status = 27;
/// Unsupported.ProtectionLevel, HTTP 400: This protection level is not valid for this region
pub const KMS_UNSUPPORTED_PROTECTION_LEVEL: kms_status = 28;
/// Rejected.StateModifiedFailed, HTTP 409: Keystate modified failed.
pub const KMS_STATE_MODIFIED_FAILED: kms_status = 29;
/// Rejected.Disabled, HTTP 409: The request was rejected because the key state is Disabled.
pub const KMS_KEY_DISABLED: kms_status = 30;
/// Rejected.PendingDeletion, HTTP 409: The request was rejected because the key state is PendingDeletion.
pub const KMS_KEY_PENDING_DELETION: kms_status = 31;
/// Rejected.PendingImport, HTTP 409: The request was rejected because the key state is PendingImport.
pub const KMS_KEY_PENDING_IMPORT: kms_status = 32;
/// Rejected.Enabled, HTTP 409: The request was rejected because the key state is Enabled.
pub const KMS_KEY_ENABLED: kms_status = 33;
/// Throttling, HTTP 400: Request was denied due to request throttling.
pub const KMS_THROTTLING: kms_status = 34;
/// Rejected.Throttling, HTTP 429: The QPS upper limit is exceeded.
pub const KMS_QPS_LIMIT_EXCEEDED: kms_status = 35;
/// Forbidden.ResourceNotFound, HTTP 404: The resource is not found.
pub const KMS_RESOURCE_NOT_FOUND: kms_status = 36;
/// Rejected.ResourceExist, HTTP 409: The resource already exists.
pub const KMS_RESOURCE_EXIST: kms_status = 37;
/// Rejected.ResourceInDeleteWindow, HTTP 409: The secret is planned to be deleted.
pub const KMS_RESOURCE_IN_DELETE_WINDOW: kms_status = 38;
/// Certificate.NotFound, HTTP 404: The specified certificate is not found.
pub const KMS_CERTIFICATE_NOT_FOUND: kms_status = 39;
/// CreateLXOrderFailed, HTTP 400: Create order failed.
pub const KMS_CREATE_ORDER_FAILED: kms_status = 40;
/// Forbidden.NoRealNameAuthentication, HTTP 400: Real name authentication is needed.
pub const KMS_NO_REAL_NAME_AUTHENTICATION: kms_status = 41;
/// Forbidden.Opened, HTTP 400: Your kms service has been opened.
pub const KMS_ALREADY_OPENED: kms_status = 42;
/// Rejected.UnsupportedOperation, HTTP 400: Unsupported operation.
pub const KMS_OPERATION_REJECTED: kms_status = 43;
/// UnsupportedOperation, HTTP 400: This action is not supported.
pub const KMS_UNSUPPORTED_OPERATION: kms_status = 44;
/// InvalidAction.NotFound, HTTP 404: Specified api is not found, please check your url and method.
pub const KMS_ACTION_NOT_FOUND: kms_status = 45;
/// InvalidTimeStamp.Expired, HTTP 400: Specified time stamp or date value is expired.
pub const KMS_TIMESTAMP_EXPIRED: kms_status = 46;
/// SignatureNonceUsed, HTTP 400: Specified signature nonce was used already.
pub const KMS_SIGNATURE_NONCE_USED: kms_status = 47;
/// SignatureDoesNotMatch, HTTP 400: Specified signature is not matched with our calculation. server string to sign
/// is:...
pub const KMS_SIGNATURE_DOES_NOT_MATCH: kms_status = 48;
/// Rejected.ResourceInUse, HTTP 409: restore normal secret
pub const KMS_RESOURCE_IN_USE: kms_status = 49;
/// Rejected.InvalidRequest, HTTP 400: param mismatch
pub const KMS_INVALID_REQUEST: kms_status = 50;
/// Duplicate.TagKey, HTTP 400: The specified tagKey is duplicate.
pub const KMS_DUPLICATE_TAG_KEY: kms_status = 51;
/// Rejected.Unavailable, HTTP 409: The request was rejected because the key state is Unavailable.
pub const KMS_KEY_UNAVAILABLE: kms_status = 52;
/// DryRunOperationError, HTTP 400: The request would have succeeded, but DryRun was set.
pub const KMS_DRY_RUN: kms_status = 53;
/// KMS_NULL_ARGUMENT: The argument ... is NULL.
pub const KMS_NULL_ARGUMENT: kms_status = 1000;
/// KMS_INVALID_UTF8: The argument ... is not UTF-8.
pub const KMS_INVALID_UTF8: kms_status = 1001;
/// KMS_INVALID_CONFIG: The configuration is not valid: ....
pub const KMS_INVALID_CONFIG: kms_status = 1002;
/// KMS_ABI_MISMATCH: The program was built for another version of this library.
pub const KMS_ABI_MISMATCH: kms_status = 1003;
/// KMS_BUFFER_TOO_SMALL: The output buffer ... is too small.
pub const KMS_BUFFER_TOO_SMALL: kms_status = 1004;
/// KMS_WRONG_ROOT_KEY: The root key does not open this store.
pub const KMS_WRONG_ROOT_KEY: kms_status = 1005;
/// KMS_STORE_LOCKED: The store is open elsewhere.
pub const KMS_STORE_LOCKED: kms_status = 1006;
/// KMS_STORE_FOREIGN: This is not a store of this engine: ....
pub const KMS_STORE_FOREIGN: kms_status = 1007;
/// KMS_STORE_CORRUPT: The store is damaged: ....
pub const KMS_STORE_CORRUPT: kms_status = 1008;
/// KMS_STORE_FULL: No space is left for the store; nothing was changed.
pub const KMS_STORE_FULL: kms_status = 1009;
/// KMS_STORE_POISONED: The store failed earlier; close it and open it again.
pub const KMS_STORE_POISONED: kms_status = 1010;
/// KMS_FORKED: The engine, or what its store runs on, belongs to the parent process.
pub const KMS_FORKED: kms_status = 1011;
/// KMS_CLOCK_NOT_MANUAL: The clock of this engine cannot be set by hand.
pub const KMS_CLOCK_NOT_MANUAL: kms_status = 1012;
/// KMS_CLOSED: The handle is closed.
pub const KMS_CLOSED: kms_status = 1013;
/// KMS_OVERLAP: The output ... overlaps an input.
pub const KMS_OVERLAP: kms_status = 1014;
/// KMS_STORE_IO: The store cannot be read or written: ....
pub const KMS_STORE_IO: kms_status = 1015;

#[cfg(test)]
mod tests {
    use kms_core::ErrorCode;

    /// `KeyDisabled` becomes `KMS_KEY_DISABLED`.
    fn constant_of(code: ErrorCode) -> String {
        let mut name = String::from("KMS");
        for letter in format!("{code:?}").chars() {
            if letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }

    /// Goal: no constant is missing, left over, misnumbered or misdescribed. Method: this file's own text, which is
    /// what the header is made from, against the engine's table, row by row.
    #[test]
    fn the_constants_are_the_table_of_errors() {
        let mut written = Vec::new();
        let mut doc = Vec::new();
        for line in include_str!("status.rs").lines().take_while(|line| !line.starts_with("#[cfg(test)]")) {
            if let Some(text) = line.strip_prefix("/// ") {
                doc.push(text);
            } else {
                if let Some(constant) = line.strip_prefix("pub const ") {
                    written.push(format!("{} {}", constant.trim_end_matches(';'), doc.join(" ")));
                }
                doc.clear();
            }
        }
        assert!(written.remove(0).starts_with("KMS_OK: kms_status = 0 "));

        let expected = ErrorCode::ALL.iter().map(|&code| {
            let http = match code.http_status() {
                0 => String::new(),
                status => format!(", HTTP {status}"),
            };
            let message = code.message().replace("{}", "...");
            format!("{}: kms_status = {} {}{http}: {message}", constant_of(code), code.number(), code.as_str())
        });
        assert_eq!(written, expected.collect::<Vec<_>>());
    }

    /// Goal: the names of this library's own codes are their texts, so that a log can be searched for either.
    #[test]
    fn own_codes_are_named_as_they_are_written() {
        for code in ErrorCode::ALL.iter().filter(|code| code.number() >= 1000) {
            assert_eq!(constant_of(*code), code.as_str());
        }
    }
}
