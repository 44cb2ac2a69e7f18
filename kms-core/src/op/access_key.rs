//! AccessKeys are no matter of the KMS API: the owner of the engine makes and takes them. So these operations have no row in
//! the table of actions.

use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::model::{AccessKey, AccessKeyId};
use crate::secret::SecretBytes;

use super::{Ctx, Outcome};

/// Random characters of an id, behind its prefix: 119 bits.
const ID_CHARS: usize = 20;
/// Characters of a secret: 178 bits. Those of the cloud have as many.
const SECRET_CHARS: usize = 30;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes an AccessKey for the account of the call. This is the one time at which its secret is told.
///
/// # Errors
/// `InvalidParameter` for a comment of more than 128 characters or with control characters in it, and
/// `Rejected.LimitExceeded` when there are 1000 AccessKeys. Two that are made at the same instant may pass that limit together.
pub fn create(comment: &str, ctx: &mut Ctx<'_>) -> Result<Outcome<AccessKey>, KmsError> {
    if comment.chars().count() > AccessKey::MAX_COMMENT || comment.chars().any(char::is_control) {
        return Err(KmsError::invalid("Comment"));
    }
    if ctx.view.access_keys()?.len() >= AccessKey::MOST {
        return Err(ErrorCode::LimitExceeded.into());
    }
    let id = SecretBytes::filled(ID_CHARS, |out| letters(out, |bytes| Ok(ctx.rng.public(bytes)?)))?;
    let id = std::str::from_utf8(id.expose()).ok();
    let id = id.and_then(|id| AccessKeyId::parse(&format!("{}{id}", AccessKeyId::PREFIX)));
    let key = AccessKey {
        id: id.ok_or(ErrorCode::InternalFailure)?,
        secret: SecretBytes::filled(SECRET_CHARS, |out| letters(out, |bytes| Ok(ctx.rng.secret(bytes)?)))?,
        account: ctx.account().to_owned(),
        created: ctx.now,
        enabled: true,
        comment: comment.to_owned(),
    };
    let changes = vec![Change::PutAccessKey(Box::new(key.duplicate()))];
    Ok(Outcome { reply: key, changes })
}

/// Lets an AccessKey be used, or forbids it.
///
/// # Errors
/// `InvalidAccessKeyId.NotFound`.
pub fn enable(id: &str, enabled: bool, ctx: &mut Ctx<'_>) -> Result<Outcome<()>, KmsError> {
    let key = find(id, ctx)?;
    if key.enabled == enabled {
        return Ok(Outcome::read(()));
    }
    Ok(Outcome { reply: (), changes: vec![Change::PutAccessKey(Box::new(AccessKey { enabled, ..key }))] })
}

/// Removes an AccessKey for ever.
///
/// # Errors
/// `InvalidAccessKeyId.NotFound`.
pub fn delete(id: &str, ctx: &mut Ctx<'_>) -> Result<Outcome<()>, KmsError> {
    let key = find(id, ctx)?;
    Ok(Outcome { reply: (), changes: vec![Change::RemoveAccessKey(key.id)] })
}

fn find(id: &str, ctx: &Ctx<'_>) -> Result<AccessKey, KmsError> {
    let key = AccessKeyId::parse(id).map(|id| ctx.view.access_key(&id)).transpose()?.flatten();
    key.ok_or_else(|| ErrorCode::AccessKeyNotFound.into())
}

/// Fills `out` with letters and digits, each as likely as the others.
fn letters(out: &mut [u8], mut draw: impl FnMut(&mut [u8]) -> Result<(), KmsError>) -> Result<(), KmsError> {
    // Of the 64 values of six bits the last two are drawn again, so that no letter is likelier than another.
    const SOME: usize = 32;
    let mut left = out.iter_mut();
    let mut next = left.next();
    while next.is_some() {
        let drawn = SecretBytes::filled(SOME, &mut draw)?;
        for byte in drawn.expose() {
            // What is rejected tells nothing of what is kept. The look-up spans one or two cache lines, once in a key's life.
            if let (Some(place), Some(letter)) = (next.as_deref_mut(), ALPHABET.get(usize::from(byte & 0x3f))) {
                *place = *letter;
                next = left.next();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: every letter comes, none but those, and the two values without a letter are skipped. Method: all bytes in turn.
    #[test]
    fn letters_are_drawn_evenly() {
        let mut turn = 0_u8;
        let mut drawn = [0; 62 * 4];
        letters(&mut drawn, |bytes| {
            for byte in bytes {
                *byte = turn;
                turn = turn.wrapping_add(1);
            }
            Ok(())
        })
        .unwrap();
        for letter in ALPHABET {
            assert_eq!(drawn.iter().filter(|byte| *byte == letter).count(), 4, "{}", char::from(*letter));
        }
    }

    #[test]
    fn a_source_that_fails_is_told() {
        assert_eq!(
            letters(&mut [0; 3], |_| Err(ErrorCode::InternalFailure.into())),
            Err(ErrorCode::InternalFailure.into())
        );
    }
}
