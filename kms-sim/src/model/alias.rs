//! Aliases (contract, 8.29 to 8.33).

use serde_json::{Value, json};

use super::{Alias, Expected, Model, Name, Page, Refusal, arn, both, step};

/// The form of an alias's name (OP-34).
fn bad_name(name: &str) -> Option<Refusal> {
    let rest = name.strip_prefix("alias/").unwrap_or("");
    let good = !rest.is_empty()
        && name.chars().count() <= 255
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || "_-/".contains(c))
        && !rest.starts_with("acs");
    (!good).then(|| Refusal::invalid("AliasName"))
}

impl Model {
    pub(crate) fn create_alias(&mut self, name: &str, key: &Name) -> Expected {
        step([bad_name(name), Self::no_alias(key)])?;
        let index = self.find(key).map_err(|refusal| vec![refusal])?;
        step([self.gate("CreateAlias", index)])?;
        step([self
            .max_aliases
            .is_some_and(|max| self.live_aliases(None).len() >= max)
            .then(|| Refusal::new("Rejected.LimitExceeded"))])?;
        step([self.find_alias(name).is_ok().then(|| Refusal::new("AliasAlreadyExists"))])?;
        self.aliases.insert(name.to_owned(), Alias { key: index, created: self.now });
        Ok(json!({}))
    }

    pub(crate) fn update_alias(&mut self, name: &str, key: &Name) -> Expected {
        step([bad_name(name), Self::no_alias(key)])?;
        let (alias, target) = both(self.find_alias(name), self.find(key))?;
        let bound = alias.key;
        step([self.gate("UpdateAlias:target-key", target), self.gate("UpdateAlias:currently-bound-key", bound)])?;
        if let Some(alias) = self.aliases.get_mut(name) {
            alias.key = target;
        }
        Ok(json!({}))
    }

    pub(crate) fn delete_alias(&mut self, name: &str) -> Expected {
        step([bad_name(name)])?;
        let key = self.find_alias(name).map_err(|refusal| vec![refusal])?.key;
        step([self.gate("DeleteAlias", key)])?;
        self.aliases.remove(name);
        Ok(json!({}))
    }

    /// The aliases of one key or of all, by creation and then by name (OP-14).
    fn live_aliases(&self, key: Option<usize>) -> Vec<(&str, usize)> {
        let mut found: Vec<_> = self
            .aliases
            .iter()
            .filter(|(_, alias)| self.is_live(alias.key) && key.is_none_or(|key| key == alias.key))
            .map(|(name, alias)| (alias.created, name.as_str(), alias.key))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, name, key)| (name, key)).collect()
    }

    fn alias_page(&self, key: Option<usize>, page: Page) -> Value {
        let all = self.live_aliases(key);
        let total = all.len();
        let show = |(name, key): (&str, usize)| json!({ "KeyId": self.keys[key].id, "AliasName": name, "AliasArn": arn(name) });
        let list: Vec<Value> = page.of(all).into_iter().map(show).collect();
        page.reply("Aliases", json!({ "Alias": list }), total)
    }

    pub(crate) fn list_aliases(&self, page: Page) -> Expected {
        page.check()?;
        Ok(self.alias_page(None, page))
    }

    pub(crate) fn list_aliases_by_key(&self, key: &Name, page: Page) -> Expected {
        let form = [step([Self::no_alias(key)]), page.check()];
        let failed: Vec<Refusal> = form.into_iter().filter_map(Result::err).flatten().collect();
        step(failed.into_iter().map(Some))?;
        let index = self.find(key).map_err(|refusal| vec![refusal])?;
        step([self.gate("ListAliasesByKeyId", index)])?;
        Ok(self.alias_page(Some(index), page))
    }
}
