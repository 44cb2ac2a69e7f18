//! Aliases: names for keys.

use serde::Serialize;

use super::key::GoneKeys;
use super::page::{CHUNK, Page, PageReply};
use super::{Ctx, KeyRef, Nothing, Operation, Outcome, Step};
use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::gate::Gate;
use crate::id::KeyId;
use crate::model::{Alias, AliasName, Key, Settings};
use crate::params::Params;
use crate::view::AliasScope;

fn alias_name(params: &Params) -> Result<AliasName, KmsError> {
    AliasName::parse(params.required("AliasName")?).ok_or_else(|| KmsError::invalid("AliasName"))
}

/// A key as it stands with one alias more.
fn gaining(key: &Key) -> Change {
    Change::PutKey(Box::new(Key { aliases: key.aliases + 1, ..key.clone() }))
}

/// A key as it stands with one alias less.
fn losing(key: &Key) -> Change {
    Change::PutKey(Box::new(Key { aliases: key.aliases.saturating_sub(1), ..key.clone() }))
}

/// CreateAlias.
#[derive(Debug)]
pub struct CreateAlias;

impl Operation for CreateAlias {
    const REQUIRED: &'static [&'static str] = &["AliasName", "KeyId"];
    type Request<'p> = (AliasName, KeyRef<'p>);
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((alias_name(params)?, KeyRef::parse_no_alias(params.required("KeyId")?, settings)?))
    }

    fn plan((name, key): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let key = ctx.enter(&key, Gate::CreateAlias)?;
        let holder = match ctx.view.alias(&name)? {
            None => None,
            Some(old) => ctx.view.key(&old.key)?,
        };
        ctx.reach(Step::Limits);
        if let Some(limit) = ctx.settings.limits.aliases
            && ctx.view.counts(ctx.now)?.live.aliases >= limit
        {
            return Err(ErrorCode::LimitExceeded.into());
        }
        ctx.reach(Step::Operation);
        let mut changes = Vec::with_capacity(4);
        match holder {
            Some(holder) if !holder.is_gone(ctx.now) => return Err(ErrorCode::AliasAlreadyExists.into()),
            // The name of a key that is gone is free, though no sweep has come by yet.
            Some(holder) => changes.extend([Change::RemoveAlias(name.clone()), losing(&holder)]),
            None => {}
        }
        changes.push(Change::PutAlias(Alias { name, key: key.id, created: ctx.now }));
        changes.push(gaining(&key));
        Ok(Outcome { reply: Nothing {}, changes })
    }
}

/// UpdateAlias.
#[derive(Debug)]
pub struct UpdateAlias;

impl Operation for UpdateAlias {
    const REQUIRED: &'static [&'static str] = &["AliasName", "KeyId"];
    type Request<'p> = (AliasName, KeyRef<'p>);
    type Reply = Nothing;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((alias_name(params)?, KeyRef::parse_no_alias(params.required("KeyId")?, settings)?))
    }

    fn plan((name, key): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let alias = ctx.find_alias(Some(&name))?;
        let target = ctx.find(&key)?;
        let bound = ctx.find(&KeyRef::Id(alias.key))?;
        ctx.pass(&target, Gate::UpdateAliasTarget)?;
        ctx.pass(&bound, Gate::UpdateAliasBound)?;
        if alias.key == target.id {
            return Ok(Outcome::read(Nothing {}));
        }
        let moved = Alias { key: target.id, ..(*alias).clone() };
        Ok(Outcome { reply: Nothing {}, changes: vec![losing(&bound), Change::PutAlias(moved), gaining(&target)] })
    }
}

/// DeleteAlias.
#[derive(Debug)]
pub struct DeleteAlias;

impl Operation for DeleteAlias {
    const REQUIRED: &'static [&'static str] = &["AliasName"];
    type Request<'p> = AliasName;
    type Reply = Nothing;

    fn parse(params: &Params, _: &Settings) -> Result<AliasName, KmsError> {
        alias_name(params)
    }

    fn plan(name: AliasName, ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        let alias = ctx.find_alias(Some(&name))?;
        let key = ctx.enter(&KeyRef::Id(alias.key), Gate::DeleteAlias)?;
        Ok(Outcome { reply: Nothing {}, changes: vec![Change::RemoveAlias(name), losing(&key)] })
    }
}

/// The answer of ListAliases and ListAliasesByKeyId.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAliasesReply {
    aliases: AliasList,
    #[serde(flatten)]
    page: PageReply,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AliasList {
    alias: Vec<ListedAlias>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedAlias {
    key_id: KeyId,
    alias_name: AliasName,
    alias_arn: String,
}

/// One page of the `total` aliases in `scope`. Those of keys that are gone are passed over, where there may be such.
fn list(
    scope: AliasScope,
    page: Page,
    mut gone: Option<GoneKeys>,
    total: u64,
    ctx: &Ctx<'_>,
) -> Result<ListAliasesReply, KmsError> {
    let (skip, size) = (page.skip(), page.size());
    let (mut alias, mut seen, mut after) = (Vec::new(), 0, None);
    while alias.len() < size {
        let limit = if after.is_none() { page.first_portion() } else { CHUNK };
        let chunk = ctx.view.aliases(scope, after.as_deref(), limit)?;
        let Some(last) = chunk.last() else { break };
        after = Some(last.clone());
        for entry in &chunk {
            if let Some(gone) = &mut gone
                && gone.contain(&entry.key, ctx)?
            {
                continue;
            }
            if seen >= skip && alias.len() < size {
                let alias_arn = ctx.settings.arn(&entry.name);
                alias.push(ListedAlias { key_id: entry.key, alias_name: entry.name.clone(), alias_arn });
            }
            seen += 1;
        }
    }
    // Aliases that came while the list was read may be in it; then the total counts them too.
    Ok(ListAliasesReply { aliases: AliasList { alias }, page: page.reply(total.max(seen)) })
}

/// ListAliases.
#[derive(Debug)]
pub struct ListAliases;

impl Operation for ListAliases {
    const REQUIRED: &'static [&'static str] = &[];
    type Request<'p> = Page;
    type Reply = ListAliasesReply;

    fn parse(params: &Params, _: &Settings) -> Result<Page, KmsError> {
        Page::parse(params)
    }

    fn plan(page: Page, ctx: &mut Ctx<'_>) -> Result<Outcome<ListAliasesReply>, KmsError> {
        let counts = ctx.view.counts(ctx.now)?;
        Ok(Outcome::read(list(AliasScope::All, page, Some(GoneKeys::new(counts)), counts.live.aliases, ctx)?))
    }
}

/// ListAliasesByKeyId.
#[derive(Debug)]
pub struct ListAliasesByKeyId;

impl Operation for ListAliasesByKeyId {
    const REQUIRED: &'static [&'static str] = &["KeyId"];
    type Request<'p> = (KeyRef<'p>, Page);
    type Reply = ListAliasesReply;

    fn parse<'p>(params: &'p Params, settings: &Settings) -> Result<Self::Request<'p>, KmsError> {
        Ok((KeyRef::parse_no_alias(params.required("KeyId")?, settings)?, Page::parse(params)?))
    }

    fn plan((key, page): Self::Request<'_>, ctx: &mut Ctx<'_>) -> Result<Outcome<ListAliasesReply>, KmsError> {
        let key = ctx.enter(&key, Gate::ListAliasesByKeyId)?;
        Ok(Outcome::read(list(AliasScope::Key(key.id), page, None, u64::from(key.aliases), ctx)?))
    }
}
