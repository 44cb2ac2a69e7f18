//! Where each record stands: the layout of the store's keys.
//!
//! A key is one letter for the kind of record and then what finds it. Identifiers stand as they are, times and numbers
//! big-endian, so that byte order is their order. Names stand as a keyed hash (a PRF under a subkey of the store), so that
//! no backend, log or backup of one learns what people call their keys.
//!
//! | key | record |
//! |---|---|
//! | `h` | header: how the store is opened |
//! | `s` | account, region and account status |
//! | `t` | totals and the latest time the store has acted on |
//! | `k` key id | key |
//! | `v` version id | key version, material included |
//! | `a` PRF(name) | alias |
//! | `p` PRF(id) | AccessKey |
//! | `l` created, key id | list: keys in the order of their creation |
//! | `d` DeleteDate, key id | list: keys that await their destruction |
//! | `e` time, key id | list: keys whose imported material expires |
//! | `r` time, key id | list: keys that await their next version |
//! | `o` key id, number, version id | list: versions of a key |
//! | `m` created, PRF(name) | list: aliases in the order of their creation |
//! | `n` key id, created, PRF(name) | list: aliases of a key |
//! | `c` key, incarnation, revision, i | piece `i` of a record too large for one value |

use kms_core::id::{KeyId, KeyVersionId};
use kms_core::time::Timestamp;
use kms_core::view::Due;

/// The keyed hash of a name.
pub(crate) type NameHash = [u8; 32];

pub(crate) const HEADER: &[u8] = b"h";
pub(crate) const SETTINGS: &[u8] = b"s";
pub(crate) const TOTALS: &[u8] = b"t";
/// The prefix of the list of keys.
pub(crate) const KEY_LIST: &[u8] = b"l";
/// The length of the prefix of a list of keys that await something.
pub(crate) const DUE_PREFIX: usize = 1;
/// The prefix of AccessKeys.
pub(crate) const ACCESS_KEYS: &[u8] = b"p";
/// The prefix of the list of aliases.
pub(crate) const ALIAS_LIST: &[u8] = b"m";

fn join(letter: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(letter);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub(crate) fn key(id: &KeyId) -> Vec<u8> {
    join(b'k', &[id.as_bytes()])
}

pub(crate) fn version(id: &KeyVersionId) -> Vec<u8> {
    join(b'v', &[id.as_bytes()])
}

pub(crate) fn alias(name: &NameHash) -> Vec<u8> {
    join(b'a', &[name])
}

pub(crate) fn access_key(id: &NameHash) -> Vec<u8> {
    join(b'p', &[id])
}

pub(crate) fn key_list(created: Timestamp, id: &KeyId) -> Vec<u8> {
    join(b'l', &[&created.unix().to_be_bytes(), id.as_bytes()])
}

/// The prefix of the list of keys that await `due`.
pub(crate) const fn due_list_of(due: Due) -> [u8; DUE_PREFIX] {
    [match due {
        Due::Deletion => b'd',
        Due::Expiry => b'e',
        Due::Rotation => b'r',
    }]
}

pub(crate) fn due_list(due: Due, at: Timestamp, id: &KeyId) -> Vec<u8> {
    let [letter] = due_list_of(due);
    join(letter, &[&at.unix().to_be_bytes(), id.as_bytes()])
}

pub(crate) fn version_list_of(key: &KeyId) -> Vec<u8> {
    join(b'o', &[key.as_bytes()])
}

pub(crate) fn version_list(key: &KeyId, number: u32, id: &KeyVersionId) -> Vec<u8> {
    join(b'o', &[key.as_bytes(), &number.to_be_bytes(), id.as_bytes()])
}

pub(crate) fn alias_list(created: Timestamp, name: &NameHash) -> Vec<u8> {
    join(b'm', &[&created.unix().to_be_bytes(), name])
}

pub(crate) fn alias_list_of(key: &KeyId) -> Vec<u8> {
    join(b'n', &[key.as_bytes()])
}

pub(crate) fn alias_list_by_key(key: &KeyId, created: Timestamp, name: &NameHash) -> Vec<u8> {
    join(b'n', &[key.as_bytes(), &created.unix().to_be_bytes(), name])
}

pub(crate) fn piece(key: &[u8], incarnation: &[u8; 16], revision: u64, i: u16) -> Vec<u8> {
    join(b'c', &[key, incarnation, &revision.to_be_bytes(), &i.to_be_bytes()])
}

/// Reads the time and the bytes behind it from a list entry whose prefix has `prefix` bytes.
pub(crate) fn read_entry<const N: usize>(key: &[u8], prefix: usize) -> Option<(Timestamp, [u8; N])> {
    let (time, rest) = key.get(prefix..)?.split_first_chunk::<8>()?;
    Some((Timestamp::from_unix(u64::from_be_bytes(*time)), rest.try_into().ok()?))
}
