// kms.h: an embedded key-management engine.
//
//     kms *engine = NULL;
//     kms_error *error = NULL;
//     if (kms_open(KMS_ABI_VERSION, "{\"store\":\"memory:\"}", NULL, &engine, &error) != KMS_OK) {
//         fprintf(stderr, "%s: %s\n", kms_error_code(error), kms_error_message(error));
//         kms_error_free(error);
//     }
//
// The contract
//
// Every function takes the engine first, then inputs, then outputs, then err.
//
// Results. A function that can fail returns KMS_OK or why it failed. Its outputs are written only on success (one
// exception: lengths, see below). If err is not NULL, a failure stores a new error object there, to be freed with
// kms_error_free; a success leaves err alone, so set it to NULL before.
//
// Pointers. NULL where something must be is an error, KMS_NULL_ARGUMENT, not a crash. The functions that free and
// those that look into an error take NULL. What a pointer points to must be there and must not change while the call
// runs; a function keeps no pointer when it has returned.
//
// Texts are UTF-8 and end with NUL; otherwise KMS_INVALID_UTF8. A returned text belongs to the caller:
// kms_string_free.
//
// Bytes go out as a buffer, its capacity, and a length. If the buffer is NULL or too small, the answer is
// KMS_BUFFER_TOO_SMALL, the length says how many bytes suffice, and nothing was done. An output, its length included,
// may not overlap an input or another output: KMS_OVERLAP.
//
// Batches. A function whose name ends in _batch makes the call without that ending for each of count items, in their
// order. Inputs stand one behind the other, with an array of their lengths in bytes; so do results, which another batch
// can take as they are. The returned status tells whether the batch ran. How each item went stands in statuses and, unless
// errors is NULL, in errors: an error object to be freed with kms_error_free, or NULL for an item that has succeeded. An
// item is answered as a single call would be: it asks for the state of its key when its turn comes, so that a change which
// has returned holds for every item that begins after that. One that fails leaves the others alone, and its result takes
// no room: its length is 0. The batch as a whole fails, and no item runs, for what no look at a key is needed: what is
// wrong with an array or a buffer, with the handle or the account, or with a text that all items share. If the buffer is
// too small, the lengths say what each item needs. Where count is 0, the arrays may be NULL.
//
// Threads. An engine may be used by any number of threads at once. Nothing here may be called from a signal handler.
//
// Closing. kms_close lets no new call in (they answer KMS_CLOSED), waits for those that run, and then closes the
// store.
//
// Fork. In a forked child an engine of the parent answers KMS_FORKED, and kms_close leaves it alone. The child may
// open its own in memory; one on disk only if the parent has opened none on disk before the fork, otherwise KMS_FORKED: sled's
// threads are not there in the child. Open after forking, or let the child exec.
//
// Defects. A failure inside the library that should not be possible never unwinds into the caller: the call answers
// KMS_INTERNAL_FAILURE, what it would have written is unspecified, and the engine refuses all later calls; close it
// and open it again. Where there is no memory left the process ends.

#ifndef KMS_H
#define KMS_H

// Made by cbindgen from kms-ffi; changes belong there.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The version of this interface. It changes when a program must be compiled anew.
#define KMS_ABI_VERSION 1

// An open engine. All functions may be called with it by any number of threads at once; kms_close ends it. It belongs
// to the process that opened it: in a forked child every function answers KMS_FORKED.
typedef struct kms kms;

// A message on its way to its digest. It belongs to whoever called kms_digest_init, who frees it with kms_digest_free.
// Only one thread at a time may use it. It does not depend on the engine: it may be used after kms_close.
typedef struct kms_digester kms_digester;

// Why a call failed. It belongs to whoever passed err, who frees it with kms_error_free. It does not depend on the
// handle: it may be read and freed after kms_close, by any thread, and in a forked child.
typedef struct kms_error kms_error;

// What a function returns: KMS_OK, or why it failed. Numbers from 1 on are codes of the KMS API, which every client of
// a KMS knows; those from 1000 on are this library's own and concern the handle, the arguments or the store. A number
// never changes its meaning and is never used again; later versions add new ones.
typedef int32_t kms_status;

// What a host gives an engine besides its configuration. Zero all of it, set size, then the members you need: kms_host
// host = {0}; host.size = sizeof host; and so on.
//
// Later versions add members at the end. A library takes a structure that is shorter than its own as if the rest were
// zero, and one that is longer if all that it does not know is zero.
typedef struct {
    // sizeof(kms_host), as the program was compiled.
    size_t size;
    // Handed to callbacks, of which this version has none. May be NULL.
    void *context;
    // The root key, in place of root_key in the configuration: so it need not stand in a text. NULL: it is there. It
    // is copied; wipe it when kms_open has returned.
    const uint8_t *root_key;
    // The length of the root key in bytes: 32.
    size_t root_key_len;
} kms_host;

// The call has succeeded, and its outputs are written.
#define KMS_OK 0

// InternalFailure, HTTP 500: Internal Failure.
#define KMS_INTERNAL_FAILURE 1

// ServiceUnavailableTemporary, HTTP 503: Service Unavailable Temporary.
#define KMS_SERVICE_UNAVAILABLE_TEMPORARY 2

// InvalidAccessKeyId.NotFound, HTTP 404: The AccessKey ID provided does not exist in our records.
#define KMS_ACCESS_KEY_NOT_FOUND 3

// Forbidden.KeyNotFound, HTTP 404: The specified Key is not found.
#define KMS_KEY_NOT_FOUND 4

// Forbidden.KeyVersionNotFound, HTTP 404: The specified Key version is not found.
#define KMS_KEY_VERSION_NOT_FOUND 5

// Forbidden.AliasNotFound, HTTP 404: The specified Alias is not found.
#define KMS_ALIAS_NOT_FOUND 6

// Forbidden.NoPermission, HTTP 403: This operation is forbidden by permission system.
#define KMS_NO_PERMISSION 7

// Forbidden.AccessKey, HTTP 403: This AccessKey is not enabled.
#define KMS_ACCESS_KEY_DISABLED 8

// UnsupportedHTTPMethod, HTTP 403: This http method is not supported.
#define KMS_UNSUPPORTED_HTTP_METHOD 9

// Forbidden.UbsmsInvalidUserid, HTTP 403: Userid Invalid For Ubsms.
#define KMS_UBSMS_INVALID_USERID 10

// Forbidden.UbsmsInvalidBid, HTTP 403: Your account partner does not have KMS Service.
#define KMS_UBSMS_INVALID_BID 11

// Forbidden.KmsServiceNotEnabled, HTTP 403: Kms service is not Enabled for current user. Please get access permission
// first.
#define KMS_KMS_SERVICE_NOT_ENABLED 12

// Forbidden.ProhibitedByRiskControl, HTTP 403: Current user is Prohibited By Risk Control.
#define KMS_PROHIBITED_BY_RISK_CONTROL 13

// Forbidden.InDebtOverdue, HTTP 403: Current user is indebted Overdue.
#define KMS_IN_DEBT_OVERDUE 14

// Forbidden.InDebt, HTTP 403: Current user is indebted.
#define KMS_IN_DEBT 15

// ParseRequestParameterException, HTTP 400: Server parse parameters exception. Please check your input params.
#define KMS_PARSE_REQUEST_PARAMETER 16

// MissingParameter, HTTP 400: The parameter "..." is needed but not provided.
#define KMS_MISSING_PARAMETER 17

// InvalidParameter, HTTP 400: The specified parameter "..." is not valid.
#define KMS_INVALID_PARAMETER 18

// IncompleteSignature, HTTP 400: The request signature does not conform to Alibaba Cloud standards.
#define KMS_INCOMPLETE_SIGNATURE 19

// IllegalTimestamp, HTTP 400: The input parameter "Timestamp" that is required for processing this request is not
// supplied.
#define KMS_ILLEGAL_TIMESTAMP 20

// Rejected.LimitExceeded, HTTP 400: The request was rejected because user create resource limit was exceeded.
#define KMS_LIMIT_EXCEEDED 21

// AliasAlreadyExists, HTTP 400: AliasName Already Exists.
#define KMS_ALIAS_ALREADY_EXISTS 22

// InvalidKeyMaterial, HTTP 400: key material is invalid.
#define KMS_INVALID_KEY_MATERIAL 23

// InvalidImportToken, HTTP 400: import token is invalid.
#define KMS_INVALID_IMPORT_TOKEN 24

// ExpiredImportToken, HTTP 400: import token is expired.
#define KMS_EXPIRED_IMPORT_TOKEN 25

// Unsupported.Origin, HTTP 400: This key origin is not valid for this api.
#define KMS_UNSUPPORTED_ORIGIN 26

// Unsupported.Alias, HTTP 400: Alias is not valid for this api.
#define KMS_UNSUPPORTED_ALIAS 27

// Unsupported.ProtectionLevel, HTTP 400: This protection level is not valid for this region
#define KMS_UNSUPPORTED_PROTECTION_LEVEL 28

// Rejected.StateModifiedFailed, HTTP 409: Keystate modified failed.
#define KMS_STATE_MODIFIED_FAILED 29

// Rejected.Disabled, HTTP 409: The request was rejected because the key state is Disabled.
#define KMS_KEY_DISABLED 30

// Rejected.PendingDeletion, HTTP 409: The request was rejected because the key state is PendingDeletion.
#define KMS_KEY_PENDING_DELETION 31

// Rejected.PendingImport, HTTP 409: The request was rejected because the key state is PendingImport.
#define KMS_KEY_PENDING_IMPORT 32

// Rejected.Enabled, HTTP 409: The request was rejected because the key state is Enabled.
#define KMS_KEY_ENABLED 33

// Throttling, HTTP 400: Request was denied due to request throttling.
#define KMS_THROTTLING 34

// Rejected.Throttling, HTTP 429: The QPS upper limit is exceeded.
#define KMS_QPS_LIMIT_EXCEEDED 35

// Forbidden.ResourceNotFound, HTTP 404: The resource is not found.
#define KMS_RESOURCE_NOT_FOUND 36

// Rejected.ResourceExist, HTTP 409: The resource already exists.
#define KMS_RESOURCE_EXIST 37

// Rejected.ResourceInDeleteWindow, HTTP 409: The secret is planned to be deleted.
#define KMS_RESOURCE_IN_DELETE_WINDOW 38

// Certificate.NotFound, HTTP 404: The specified certificate is not found.
#define KMS_CERTIFICATE_NOT_FOUND 39

// CreateLXOrderFailed, HTTP 400: Create order failed.
#define KMS_CREATE_ORDER_FAILED 40

// Forbidden.NoRealNameAuthentication, HTTP 400: Real name authentication is needed.
#define KMS_NO_REAL_NAME_AUTHENTICATION 41

// Forbidden.Opened, HTTP 400: Your kms service has been opened.
#define KMS_ALREADY_OPENED 42

// Rejected.UnsupportedOperation, HTTP 400: Unsupported operation.
#define KMS_OPERATION_REJECTED 43

// UnsupportedOperation, HTTP 400: This action is not supported.
#define KMS_UNSUPPORTED_OPERATION 44

// InvalidAction.NotFound, HTTP 404: Specified api is not found, please check your url and method.
#define KMS_ACTION_NOT_FOUND 45

// InvalidTimeStamp.Expired, HTTP 400: Specified time stamp or date value is expired.
#define KMS_TIMESTAMP_EXPIRED 46

// SignatureNonceUsed, HTTP 400: Specified signature nonce was used already.
#define KMS_SIGNATURE_NONCE_USED 47

// SignatureDoesNotMatch, HTTP 400: Specified signature is not matched with our calculation. server string to sign
// is:...
#define KMS_SIGNATURE_DOES_NOT_MATCH 48

// Rejected.ResourceInUse, HTTP 409: restore normal secret
#define KMS_RESOURCE_IN_USE 49

// Rejected.InvalidRequest, HTTP 400: param mismatch
#define KMS_INVALID_REQUEST 50

// Duplicate.TagKey, HTTP 400: The specified tagKey is duplicate.
#define KMS_DUPLICATE_TAG_KEY 51

// Rejected.Unavailable, HTTP 409: The request was rejected because the key state is Unavailable.
#define KMS_KEY_UNAVAILABLE 52

// DryRunOperationError, HTTP 400: The request would have succeeded, but DryRun was set.
#define KMS_DRY_RUN 53

// KMS_NULL_ARGUMENT: The argument ... is NULL.
#define KMS_NULL_ARGUMENT 1000

// KMS_INVALID_UTF8: The argument ... is not UTF-8.
#define KMS_INVALID_UTF8 1001

// KMS_INVALID_CONFIG: The configuration is not valid: ....
#define KMS_INVALID_CONFIG 1002

// KMS_ABI_MISMATCH: The program was built for another version of this library.
#define KMS_ABI_MISMATCH 1003

// KMS_BUFFER_TOO_SMALL: The output buffer ... is too small.
#define KMS_BUFFER_TOO_SMALL 1004

// KMS_WRONG_ROOT_KEY: The root key does not open this store.
#define KMS_WRONG_ROOT_KEY 1005

// KMS_STORE_LOCKED: The store is open elsewhere.
#define KMS_STORE_LOCKED 1006

// KMS_STORE_FOREIGN: This is not a store of this engine: ....
#define KMS_STORE_FOREIGN 1007

// KMS_STORE_CORRUPT: The store is damaged: ....
#define KMS_STORE_CORRUPT 1008

// KMS_STORE_FULL: No space is left for the store; nothing was changed.
#define KMS_STORE_FULL 1009

// KMS_STORE_POISONED: The store failed earlier; close it and open it again.
#define KMS_STORE_POISONED 1010

// KMS_FORKED: The engine, or what its store runs on, belongs to the parent process.
#define KMS_FORKED 1011

// KMS_CLOCK_NOT_MANUAL: The clock of this engine cannot be set by hand.
#define KMS_CLOCK_NOT_MANUAL 1012

// KMS_CLOSED: The handle is closed.
#define KMS_CLOSED 1013

// KMS_OVERLAP: The output ... overlaps an input.
#define KMS_OVERLAP 1014

// KMS_STORE_IO: The store cannot be read or written: ....
#define KMS_STORE_IO 1015

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Encrypts bytes to the public half of a version of an asymmetric key.
//
// engine:         an open engine.
// key_id:         the key: its id, its ARN, or an alias ("alias/...").
// key_version_id: the version of the key. NULL or "": the newest.
// algorithm:      "RSAES_OAEP_SHA_256" or "RSAES_OAEP_SHA_1" for RSA keys, "SM2PKE" for EC_SM2.
// plaintext:      what to encrypt.
// plaintext_len:  1 to 190 or 214 bytes for RSA_2048 with SHA-256 or SHA-1, to 318 or 342 for RSA_3072, to 6047 for
//                 EC_SM2.
// out:            receives the ciphertext, a standard one: no version stands in it.
// out_cap:        the size of out in bytes. A ciphertext has the length of the modulus for RSA, 256 or 384 bytes, and is
//                 97 bytes longer than its plaintext for SM2.
// out_len:        receives the length of the ciphertext in bytes.
//
// Which version is the newest may change between two calls: where CreateKeyVersion is used, name the version, and keep its
// id beside the ciphertext. ListKeyVersions tells it, newest first.
//
// Errors: those of the action AsymmetricEncrypt, for example KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED, KMS_OPERATION_REJECTED
// (the key does not encrypt) and KMS_INVALID_PARAMETER ("Algorithm": it is not one of the key's; "Plaintext": it is empty
// or too long); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_asymmetric_encrypt(kms *engine,
                                  const char *key_id,
                                  const char *key_version_id,
                                  const char *algorithm,
                                  const uint8_t *plaintext,
                                  size_t plaintext_len,
                                  uint8_t *out,
                                  size_t out_cap,
                                  size_t *out_len,
                                  kms_error **err);

// Decrypts with a version of an asymmetric key.
//
// engine:         an open engine.
// key_id:         the key, as for kms_asymmetric_encrypt.
// key_version_id: the version that the ciphertext was made for. NULL or "": the newest.
// algorithm:      as for kms_asymmetric_encrypt.
// ciphertext:     256 or 384 bytes for RSA; for SM2 04 || X || Y || C3 || C2, or the DER form of GM/T 0009, up to 6144
//                 bytes.
// ciphertext_len: its length in bytes.
// out:            receives the plaintext.
// out_cap:        the size of out in bytes. There must be room for the longest plaintext that such a ciphertext can
//                 hold: 66 bytes less than it for SHA-256, 42 for SHA-1, 97 for SM2.
// out_len:        receives the length of the plaintext in bytes.
//
// Errors: those of the action AsymmetricDecrypt; whatever is wrong with the ciphertext, it is KMS_INVALID_PARAMETER
// ("CiphertextBlob"); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_asymmetric_decrypt(kms *engine,
                                  const char *key_id,
                                  const char *key_version_id,
                                  const char *algorithm,
                                  const uint8_t *ciphertext,
                                  size_t ciphertext_len,
                                  uint8_t *out,
                                  size_t out_cap,
                                  size_t *out_len,
                                  kms_error **err);

// Tells the public half of a version of an asymmetric key.
//
// engine:         an open engine.
// key_id:         the key: its id, its ARN, or an alias ("alias/...").
// key_version_id: the version of the key. NULL or "": the newest.
// pem:            receives the SubjectPublicKeyInfo as PEM text, each line ended by a line feed. Free it with
//                 kms_string_free.
//
// Errors: those of the action GetPublicKey, for example KMS_OPERATION_REJECTED (the key is symmetric); the ones of
// arguments and handle.
kms_status kms_get_public_key(kms *engine, const char *key_id, const char *key_version_id, char **pem, kms_error **err);

// Encrypts many plaintexts with the primary version of a symmetric key, as kms_encrypt does one.
//
// engine:         an open engine.
// key_id:         the key, for all: its id, its ARN, or an alias ("alias/...").
// count:          how many plaintexts there are.
// plaintexts:     the plaintexts, one behind the other; may be NULL if all are empty.
// plaintext_lens: their lengths in bytes, 0 to 6144 each.
// contexts_json:  the encryption contexts. If context_lens is NULL, one that ends with NUL and holds for all, or NULL for
//                 none. Otherwise one for each plaintext, one behind the other, without NUL.
// context_lens:   their lengths in bytes, 0 for none; or NULL.
// out:            receives the blobs, one behind the other.
// out_cap:        the size of out in bytes: the sum of all lengths, and 77 for each plaintext.
// out_lens:       receives the length of each blob in bytes; 0 for an item that has failed.
// statuses:       receives how each item went.
// errors:         receives an error object for each item that has failed, otherwise NULL; or NULL.
//
// Errors of an item: those of kms_encrypt. Of the batch: KMS_MISSING_PARAMETER ("KeyId"), KMS_INVALID_PARAMETER
// ("EncryptionContext": the one that holds for all; "count", "plaintext_lens", "context_lens": no memory has so many bytes),
// those of the account, KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_encrypt_batch(kms *engine,
                             const char *key_id,
                             size_t count,
                             const uint8_t *plaintexts,
                             const size_t *plaintext_lens,
                             const char *contexts_json,
                             const size_t *context_lens,
                             uint8_t *out,
                             size_t out_cap,
                             size_t *out_lens,
                             kms_status *statuses,
                             kms_error **errors,
                             kms_error **err);

// Decrypts many blobs, each with the key that it names, as kms_decrypt does one.
//
// engine:        an open engine.
// count:         how many blobs there are.
// blobs:         the blobs, one behind the other.
// blob_lens:     their lengths in bytes.
// contexts_json: the encryption contexts that they were made with, as for kms_encrypt_batch.
// context_lens:  likewise.
// out:           receives the plaintexts, one behind the other.
// out_cap:       the size of out in bytes. A plaintext is 77 bytes shorter than its blob; as many bytes as the blobs have
//                together are enough.
// out_lens:      receives the length of each plaintext in bytes; 0 for an item that has failed.
// statuses:      receives how each item went: an empty plaintext and one that could not be had are told apart here.
// errors:        receives an error object for each item that has failed, otherwise NULL; or NULL.
//
// Errors of an item: those of kms_decrypt. Of the batch: KMS_INVALID_PARAMETER ("EncryptionContext": the one that holds for
// all; "count", "blob_lens", "context_lens": no memory has so many bytes), those of the account, KMS_BUFFER_TOO_SMALL,
// KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_decrypt_batch(kms *engine,
                             size_t count,
                             const uint8_t *blobs,
                             const size_t *blob_lens,
                             const char *contexts_json,
                             const size_t *context_lens,
                             uint8_t *out,
                             size_t out_cap,
                             size_t *out_lens,
                             kms_status *statuses,
                             kms_error **errors,
                             kms_error **err);

// Signs many digests with a version of an asymmetric key, as kms_sign does one.
//
// engine:         an open engine.
// key_id:         the key, for all: its id, its ARN, or an alias ("alias/...").
// key_version_id: the version of the key. NULL or "": the newest; if CreateKeyVersion runs meanwhile, the later items may have
//                 a newer one than the earlier.
// algorithm:      as for kms_sign, for all.
// count:          how many digests there are.
// digests:        the digests, one behind the other.
// digest_lens:    their lengths in bytes: 32 each.
// out:            receives the signatures, one behind the other.
// out_cap:        the size of out in bytes: for each digest 384 with an algorithm of RSA, otherwise 72.
// out_lens:       receives the length of each signature in bytes; 0 for an item that has failed.
// statuses:       receives how each item went.
// errors:         receives an error object for each item that has failed, otherwise NULL; or NULL.
//
// Errors of an item: those of kms_sign. Of the batch: KMS_MISSING_PARAMETER ("KeyId", "Algorithm"), KMS_INVALID_PARAMETER
// ("Algorithm": there is none of this name; "count", "digest_lens": no memory has so many bytes), those of the account,
// KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_sign_batch(kms *engine,
                          const char *key_id,
                          const char *key_version_id,
                          const char *algorithm,
                          size_t count,
                          const uint8_t *digests,
                          const size_t *digest_lens,
                          uint8_t *out,
                          size_t out_cap,
                          size_t *out_lens,
                          kms_status *statuses,
                          kms_error **errors,
                          kms_error **err);

// Says for many signatures whether each is one of its digest by a version of an asymmetric key, as kms_verify does for one.
//
// engine:         an open engine.
// key_id:         the key, for all: its id, its ARN, or an alias ("alias/...").
// key_version_id: the version of the key. NULL or "": the newest.
// algorithm:      as for kms_verify, for all.
// count:          how many signatures there are.
// digests:        the digests, one behind the other.
// digest_lens:    their lengths in bytes: 32 each.
// signatures:     the signatures, one behind the other.
// signature_lens: their lengths in bytes.
// valid:          receives true or false for each; false for an item that has failed, too.
// statuses:       receives how each item went. That a signature is not valid is no failure.
// errors:         receives an error object for each item that has failed, otherwise NULL; or NULL.
//
// Errors of an item: those of kms_verify. Of the batch: as for kms_sign_batch, but for the buffer.
kms_status kms_verify_batch(kms *engine,
                            const char *key_id,
                            const char *key_version_id,
                            const char *algorithm,
                            size_t count,
                            const uint8_t *digests,
                            const size_t *digest_lens,
                            const uint8_t *signatures,
                            const size_t *signature_lens,
                            bool *valid,
                            kms_status *statuses,
                            kms_error **errors,
                            kms_error **err);

// Calls an action of the KMS API.
//
// engine:      an open engine.
// action:      its name, for example "CreateKey"; upper and lower case differ.
// params_json: its parameters, a JSON object, for example {"KeyId":"alias/app"}. Values are text, numbers, booleans or
//              JSON themselves, whichever is natural; null counts as absent. For an action without parameters: "{}".
// reply_json:  receives the reply, a JSON object with the members that the API gives it, RequestId among them. Free it
//              with kms_string_free, which also wipes it: it may hold a key or a plaintext.
//
// Errors: those of the action; KMS_UNSUPPORTED_OPERATION for a name that is not an action's;
// KMS_PARSE_REQUEST_PARAMETER when params_json is not a JSON object or has a member twice; those of arguments and
// handle.
kms_status kms_call(kms *engine, const char *action, const char *params_json, char **reply_json, kms_error **err);

// Encrypts bytes with the primary version of a symmetric key.
//
// engine:        an open engine.
// key_id:        the key: its id, its ARN, or an alias ("alias/...").
// plaintext:     what to encrypt; may be NULL if plaintext_len is 0.
// plaintext_len: 0 to 6144 bytes.
// context_json:  the encryption context, a JSON object of texts, for example {"tenant":"42"}. It is authenticated but
//                not stored: decryption needs an equal one. NULL: none, which equals {}.
// out:           receives the blob.
// out_cap:       the size of out in bytes. A blob is 77 bytes longer than its plaintext.
// out_len:       receives the length of the blob in bytes.
//
// The blob is what the action Encrypt makes: kms_call and kms_decrypt both decrypt it.
//
// Errors: those of the action Encrypt, for example KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED and KMS_INVALID_PARAMETER
// ("Plaintext": it is longer than 6144 bytes); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and
// handle.
kms_status kms_encrypt(kms *engine,
                       const char *key_id,
                       const uint8_t *plaintext,
                       size_t plaintext_len,
                       const char *context_json,
                       uint8_t *out,
                       size_t out_cap,
                       size_t *out_len,
                       kms_error **err);

// Decrypts a blob that kms_encrypt, kms_generate_data_key, kms_reencrypt or one of their actions has made. The blob
// itself names its key.
//
// engine:       an open engine.
// blob:         the blob.
// blob_len:     its length in bytes.
// context_json: the encryption context that it was made with; NULL: none.
// out:          receives the plaintext.
// out_cap:      the size of out in bytes. A plaintext is 77 bytes shorter than its blob.
// out_len:      receives the length of the plaintext in bytes.
//
// A text that was encrypted with the action Encrypt comes as its UTF-8 bytes, without a NUL behind them; one that is
// Base64 comes as the bytes that it stands for.
//
// Errors: those of the action Decrypt, for example KMS_KEY_DISABLED and KMS_INVALID_PARAMETER ("CiphertextBlob": the
// blob is malformed or was changed, or the context is another one; which of them, nobody is told);
// KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_decrypt(kms *engine,
                       const uint8_t *blob,
                       size_t blob_len,
                       const char *context_json,
                       uint8_t *out,
                       size_t out_cap,
                       size_t *out_len,
                       kms_error **err);

// Decrypts a blob and encrypts its plaintext anew: under another key, under the newest version of the same key, or
// with another context. The plaintext does not leave the engine.
//
// engine:                   an open engine.
// blob:                     the blob.
// blob_len:                 its length in bytes.
// source_context_json:      the encryption context that the blob was made with; NULL: none.
// destination_key_id:       the symmetric key to encrypt with: its id, its ARN, or an alias.
// destination_context_json: the encryption context of the new blob; NULL: none, the source's is not taken over.
// out:                      receives the new blob.
// out_cap:                  the size of out in bytes. The new blob is as long as the old one.
// out_len:                  receives the length of the new blob in bytes.
//
// Errors: those of the action ReEncrypt; KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_reencrypt(kms *engine,
                         const uint8_t *blob,
                         size_t blob_len,
                         const char *source_context_json,
                         const char *destination_key_id,
                         const char *destination_context_json,
                         uint8_t *out,
                         size_t out_cap,
                         size_t *out_len,
                         kms_error **err);

// Makes a data key: random bytes to encrypt with elsewhere, together with the same bytes encrypted by a symmetric key
// of the engine. Use the plaintext, wipe it, and keep the blob beside the data: kms_decrypt turns it into the
// plaintext again.
//
// engine:          an open engine.
// key_id:          the symmetric key: its id, its ARN, or an alias ("alias/...").
// number_of_bytes: the length of the data key, 1 to 1024 bytes.
// context_json:    the encryption context of the blob, as for kms_encrypt; NULL: none.
// plaintext:       receives the data key. NULL: only the blob is wanted; plaintext_cap is then not looked at, and
//                  plaintext_len may be NULL and is not written.
// plaintext_cap:   the size of plaintext in bytes.
// plaintext_len:   receives the length of the data key, which is number_of_bytes.
// blob:            receives the encrypted data key.
// blob_cap:        the size of blob in bytes. The blob is 77 bytes longer than the data key.
// blob_len:        receives the length of the blob in bytes.
//
// With KMS_BUFFER_TOO_SMALL both lengths say what is needed, whichever buffer is too small.
//
// Errors: those of the action GenerateDataKey, without plaintext those of GenerateDataKeyWithoutPlaintext, for example
// KMS_INVALID_PARAMETER ("NumberOfBytes"); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and
// handle.
kms_status kms_generate_data_key(kms *engine,
                                 const char *key_id,
                                 size_t number_of_bytes,
                                 const char *context_json,
                                 uint8_t *plaintext,
                                 size_t plaintext_cap,
                                 size_t *plaintext_len,
                                 uint8_t *blob,
                                 size_t blob_cap,
                                 size_t *blob_len,
                                 kms_error **err);

// Computes the digest of a message for kms_sign and kms_verify: SHA-256, or for "SM2DSA" SM3 over Z_A, which hangs on the
// key and the signer's user id, and the message.
//
// engine:         an open engine.
// key_id:         the key that signs or has signed: its id, its ARN, or an alias ("alias/...").
// key_version_id: its version. NULL or "": the newest.
// algorithm:      as for kms_sign.
// message:        the message; may be NULL if message_len is 0.
// message_len:    its length in bytes.
// sm2_user_id:    the signer's id for "SM2DSA", up to 8191 bytes; otherwise not looked at. NULL: "1234567812345678", which
//                 nearly everybody uses.
// out:            receives the digest, 32 bytes.
//
// Errors: KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED and the other ones of the action GetPublicKey, KMS_OPERATION_REJECTED (the
// key does not sign), KMS_INVALID_PARAMETER ("Algorithm": it is not one of the key's; "sm2_user_id": it is too long); KMS_OVERLAP and the
// other ones of arguments and handle.
kms_status kms_digest(kms *engine,
                      const char *key_id,
                      const char *key_version_id,
                      const char *algorithm,
                      const uint8_t *message,
                      size_t message_len,
                      const char *sm2_user_id,
                      uint8_t *out,
                      kms_error **err);

// Starts the digest of a message that comes in pieces; see kms_digest.
//
// engine:         an open engine.
// key_id:         as for kms_digest.
// key_version_id: as for kms_digest.
// algorithm:      as for kms_digest.
// sm2_user_id:    as for kms_digest.
// digester:       receives an object that takes the message. Free it with kms_digest_free.
//
// Errors: those of kms_digest.
kms_status kms_digest_init(kms *engine,
                           const char *key_id,
                           const char *key_version_id,
                           const char *algorithm,
                           const char *sm2_user_id,
                           kms_digester **digester,
                           kms_error **err);

// Adds a piece of the message.
//
// digester:  takes the message.
// piece:     the next piece of it; may be NULL if piece_len is 0.
// piece_len: its length in bytes.
//
// Errors: KMS_CLOSED after kms_digest_final, KMS_NULL_ARGUMENT.
kms_status kms_digest_update(kms_digester *digester, const uint8_t *piece, size_t piece_len, kms_error **err);

// Ends the message and tells its digest.
//
// digester: has taken the message. It is still to be freed, and good for nothing else.
// out:      receives the digest, 32 bytes.
//
// Errors: KMS_CLOSED when it was called before, KMS_NULL_ARGUMENT.
kms_status kms_digest_final(kms_digester *digester, uint8_t *out, kms_error **err);

// Wipes and frees a digester, whether or not its message has ended.
//
// digester: may be NULL; nothing happens then.
void kms_digest_free(kms_digester *digester);

// Moves the clock of an engine that was opened with a manual clock. Nothing that becomes due by it is done yet: see
// kms_run_due.
//
// engine:  an open engine.
// seconds: how far, 0 or more.
//
// Errors: KMS_CLOCK_NOT_MANUAL; KMS_INVALID_PARAMETER for a negative number or a time beyond the year 9999; those of
// handle and store.
kms_status kms_clock_advance(kms *engine, int64_t seconds, kms_error **err);

// Does what is due at the engine's present time. The rules of the API do not wait for it: a key past its DeleteDate is
// not found any more, expired material is not used, and a key whose rotation is due rotates before it encrypts if it can
// (a full disk or a clock that has leapt may keep it from that), whether or not this was called. By the system's clock, this destroys keys and material only when they have been due for 24
// hours and the engine has been open for as long.
//
// An engine whose configuration has sweep does it by itself.
//
// engine:      an open engine.
// report_json: receives what was done, a JSON object of three numbers: DeletedKeys, keys removed with their versions,
//              aliases and tags; ExpiredMaterials, keys of Origin EXTERNAL whose expired material was destroyed;
//              RotatedKeys, keys that got their next version. Free it with kms_string_free.
//
// Errors: those of arguments, handle and store.
kms_status kms_run_due(kms *engine,
                       char **report_json,
                       kms_error **err);

// Returns the code, for example "Rejected.Disabled", which is what programs compare; for this library's own codes it
// is the name of the constant, for example "KMS_NULL_ARGUMENT". The text belongs to the error object.
//
// error: may be NULL; the result is then "".
const char *kms_error_code(const kms_error *error);

// Returns a sentence for people, in English. It names the parameter or argument that is at fault, never a secret, and
// may change from version to version. The text belongs to the error object.
//
// error: may be NULL; the result is then "".
const char *kms_error_message(const kms_error *error);

// Returns the name of the failed call, a UUID of 36 characters, unique to it; "" if the call did not reach an engine.
// The text belongs to the error object.
//
// error: may be NULL; the result is then "".
const char *kms_error_request_id(const kms_error *error);

// Returns the HTTP status that a KMS answers with for this code, for example 409; 0 for this library's own codes.
//
// error: may be NULL; the result is then 0.
int32_t kms_error_http_status(const kms_error *error);

// Returns the status that the failed call returned.
//
// error: may be NULL; the result is then KMS_OK.
kms_status kms_error_status(const kms_error *error);

// Frees an error object, and the texts that belong to it.
//
// error: may be NULL; nothing happens then.
void kms_error_free(kms_error *error);

// Opens an engine on a store, and makes the store if it is not there.
//
// abi_version: KMS_ABI_VERSION, as the program was compiled.
// config_json: the configuration, a JSON object of the members below; {"store":"memory:"} is the smallest.
// host:        what else the host gives; may be NULL. It is not needed after the call.
// out:         receives the engine. Close it with kms_close.
//
// Members of the configuration; all but store have a default, and one that is not known is an error:
//
// store:          "memory:", gone when the engine is closed; "sled:PATH" or PATH alone, a directory.
// root_key:       seals the store; needed unless the store is in memory or the host gives the key. One of
//                 {"passphrase":TEXT}, on which each kms_open spends a good part of a second on purpose;
//                 {"file":PATH,"create":BOOLEAN}, 32 bytes, made if they are not there and create is true;
//                 {"hex":TEXT}, 64 digits; {"env":NAME}, a variable that holds 64 digits.
// account_id:     16 digits, part of every ARN; "1000000000000000". A store keeps the one that it was made with.
// region:         part of every ARN; "cn-hangzhou". A store keeps the one that it was made with.
// regions:        what DescribeRegions answers, an array of texts.
// clock:          "system", or {"manual":"2030-01-01T00:00:00Z"}: a clock that kms_clock_advance alone moves.
// seed:           a number: ids and all random bytes of the engine's own are the same in every run; RSA and P-256 draw
//                 theirs elsewhere. For tests, with a manual clock and "memory:".
// limits:         {"keys":NUMBER,"aliases":NUMBER,"key_versions":NUMBER}, or "alibaba" for those of the cloud; none but
//                 50 versions that CreateKeyVersion makes.
// account_status: the account's status in the beginning; "Enabled".
// hsm:            whether keys of protection level HSM can be made; true.
// cache:          how many records are kept in memory; 10000.
// sweep:          seconds between two runs of what is due, by a thread of the engine's own; 0: the program calls
//                 kms_run_due. Not with seed. A program that waits for signals in a thread of its own blocks them
//                 before this call, so that the engine's threads do not get them.
//
// Errors: KMS_ABI_MISMATCH (the program was compiled for another version, or host has no possible size or asks for
// what this version does not know), KMS_INVALID_CONFIG, KMS_WRONG_ROOT_KEY, KMS_STORE_LOCKED (it is open elsewhere),
// KMS_STORE_FOREIGN, KMS_STORE_CORRUPT, KMS_STORE_FULL, KMS_STORE_IO, KMS_NULL_ARGUMENT, KMS_INVALID_UTF8.
kms_status kms_open(uint32_t abi_version, const char *config_json, const kms_host *host, kms **out, kms_error **err);

// Closes an engine. Calls that begin now answer KMS_CLOSED; those that run are waited for; then the store is closed
// and all keys are wiped from memory. In a forked child it does nothing: the engine is the parent's.
//
// engine: may be NULL; nothing happens then. Do not use it afterwards. A call that was about to begin in another
//         thread is safe and answers KMS_CLOSED.
void kms_close(kms *engine);

// Returns the version of the library, for example "0.1.0".
const char *kms_version(void);

// Signs a digest with a version of an asymmetric key.
//
// engine:         an open engine.
// key_id:         the key: its id, its ARN, or an alias ("alias/...").
// key_version_id: the version of the key. NULL or "": the newest.
// algorithm:      "RSA_PSS_SHA_256" or "RSA_PKCS1_SHA_256" for RSA keys, "ECDSA_SHA_256" for EC_P256 and EC_P256K,
//                 "SM2DSA" for EC_SM2.
// digest:         the digest of the message: of SHA-256, or for SM2DSA of SM3 over Z_A and the message. kms_digest and
//                 kms_digest_init make both.
// digest_len:     32.
// out:            receives the signature: for RSA as many bytes as the modulus has, otherwise DER, SEQUENCE { r, s }.
// out_cap:        the size of out in bytes. 384 suffice for every key, 72 for those of a curve.
// out_len:        receives the length of the signature in bytes.
//
// Which version is the newest may change between two calls: where CreateKeyVersion is used, name the version, and keep its
// id beside the signature. ListKeyVersions tells it, newest first.
//
// Errors: those of the action AsymmetricSign, for example KMS_KEY_NOT_FOUND, KMS_KEY_DISABLED, KMS_OPERATION_REJECTED
// (the key does not sign) and KMS_INVALID_PARAMETER ("Algorithm": it is not one of the key's; "Digest": it has not 32
// bytes); KMS_BUFFER_TOO_SMALL, KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_sign(kms *engine,
                    const char *key_id,
                    const char *key_version_id,
                    const char *algorithm,
                    const uint8_t *digest,
                    size_t digest_len,
                    uint8_t *out,
                    size_t out_cap,
                    size_t *out_len,
                    kms_error **err);

// Says whether a signature is one of a digest by a version of an asymmetric key.
//
// engine:         an open engine.
// key_id:         the key, as for kms_sign.
// key_version_id: the version of the key. NULL or "": the newest.
// algorithm:      as for kms_sign. RSA_PSS_SHA_256 takes salts of every length.
// digest:         as for kms_sign.
// digest_len:     32.
// signature:      the signature.
// signature_len:  its length in bytes.
// valid:          receives true or false. A signature that is malformed is false, and no error.
//
// Errors: those of the action AsymmetricVerify, as for kms_sign; KMS_OVERLAP and the other ones of arguments and handle.
kms_status kms_verify(kms *engine,
                      const char *key_id,
                      const char *key_version_id,
                      const char *algorithm,
                      const uint8_t *digest,
                      size_t digest_len,
                      const uint8_t *signature,
                      size_t signature_len,
                      bool *valid,
                      kms_error **err);

// Wipes a text that a function of this library has returned, then frees it.
//
// string: may be NULL; nothing happens then.
void kms_string_free(char *string);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KMS_H */
