//! Tags of keys. Secrets and certificates bring their own when they come.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Ctx, KeyRef, Nothing, Operation, Outcome, Step};
use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::KeyId;
use crate::model::{Key, Settings, Tag};
use crate::params::{Object, Params};

/// What is tagged: exactly one of three parameters says so.
#[derive(Debug)]
pub enum Tagged<'p> {
    /// A key.
    Key(KeyRef<'p>),
    /// A secret.
    Secret,
    /// A certificate.
    Certificate,
}

impl<'p> Tagged<'p> {
    fn parse(params: &'p Params, settings: &Settings) -> Result<Self, KmsError> {
        match (params.text("KeyId"), params.text("SecretName"), params.text("CertificateId")) {
            (Some(key), None, None) => Ok(Self::Key(KeyRef::parse_no_alias(key, settings)?)),
            (None, Some(_), None) => Ok(Self::Secret),
            (None, None, Some(_)) => Ok(Self::Certificate),
            _ => Err(KmsError::invalid("KeyId/SecretName/CertificateId")),
        }
    }

    /// The key, let through its gate. There are no secrets and no certificates yet, so that any name of one is unknown.
    fn enter<'a>(&self, gate: Gate, ctx: &Ctx<'a>) -> Result<crate::view::Held<'a, Key>, KmsError> {
        ctx.reach(Step::Resource);
        match self {
            Self::Key(key) => ctx.enter(key, gate),
            Self::Secret => Err(ErrorCode::ResourceNotFound.into()),
            Self::Certificate => Err(ErrorCode::CertificateNotFound.into()),
        }
    }
}

/// TagResource.
#[derive(Debug)]
pub struct TagResource;

impl Operation for TagResource {
    const REQUIRED: &'static [&'static str] = &["Tags"];
    type Request<'p> = (Tagged<'p>, Vec<Tag>);
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let tags = parse_tags(params.required("Tags")?).ok_or_else(|| KmsError::invalid("Tags"))?;
        Ok((Tagged::parse(params, settings)?, tags))
    }

    fn plan((tagged, tags): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = tagged.enter(Gate::TagResource, ctx)?;
        ctx.reach(Step::Limits);
        let tags = key.tags.with(tags).ok_or(ErrorCode::LimitExceeded)?;
        let key = Key { tags, ..(*key).clone() };
        Ok(Outcome { reply: Nothing {}, changes: vec![Change::PutKey(Box::new(key))] })
    }
}

/// Reads a list of tags: not empty, no key twice, each within its limits (OP-92).
fn parse_tags(json: &str) -> Option<Vec<Tag>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Entry {
        tag_key: String,
        #[serde(default)]
        tag_value: Option<String>,
    }
    let entries: Vec<Object<Entry>> = serde_json::from_str(json).ok()?;
    let mut keys = HashSet::new();
    let distinct = entries.iter().all(|Object(entry)| keys.insert(entry.tag_key.as_str()));
    if entries.is_empty() || !distinct {
        return None;
    }
    entries.iter().map(|Object(entry)| Tag::new(&entry.tag_key, entry.tag_value.as_deref().unwrap_or(""))).collect()
}

/// UntagResource.
#[derive(Debug)]
pub struct UntagResource;

impl Operation for UntagResource {
    const REQUIRED: &'static [&'static str] = &["TagKeys"];
    type Request<'p> = (Tagged<'p>, Vec<String>);
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        let keys = parse_tag_keys(params.required("TagKeys")?).ok_or_else(|| KmsError::invalid("TagKeys"))?;
        Ok((Tagged::parse(params, settings)?, keys))
    }

    fn plan((tagged, keys): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = tagged.enter(Gate::UntagResource, ctx)?;
        let tags = key.tags.without(&keys);
        if tags == key.tags {
            return Ok(Outcome::read(Nothing {}));
        }
        let key = Key { tags, ..(*key).clone() };
        Ok(Outcome { reply: Nothing {}, changes: vec![Change::PutKey(Box::new(key))] })
    }
}

/// Reads tag keys: a JSON array, or texts with commas between them (OP-94).
fn parse_tag_keys(text: &str) -> Option<Vec<String>> {
    let keys: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text).ok()?
    } else {
        text.split(',').map(|key| key.trim().to_owned()).collect()
    };
    (!keys.is_empty() && keys.iter().all(|key| Tag::is_key_len(key))).then_some(keys)
}

/// ListResourceTags.
#[derive(Debug)]
pub struct ListResourceTags;

/// The answer of ListResourceTags.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListResourceTagsReply {
    tags: TagList,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagList {
    tag: Vec<ListedTag>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedTag {
    key_id: KeyId,
    tag_key: String,
    tag_value: String,
}

impl Operation for ListResourceTags {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = KeyRef<'p>;
    type Reply = ListResourceTagsReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<KeyRef<'p>, KmsError> {
        KeyRef::parse_no_alias(params.required("KeyId")?, settings)
    }

    fn plan(request: KeyRef<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<ListResourceTagsReply>, KmsError> {
        let key = ctx.enter(&request, Gate::ListResourceTags)?;
        let tag = key
            .tags
            .as_slice()
            .iter()
            .map(|tag| ListedTag { key_id: key.id, tag_key: tag.key.clone(), tag_value: tag.value.clone() })
            .collect();
        Ok(Outcome::read(ListResourceTagsReply { tags: TagList { tag } }))
    }
}
