//! A request's parameters: those of the query and those of the form, decoded, and then as the engine takes them.
//!
//! Clients flatten maps and lists into names with dots (`EncryptionContext.k=v`, `Tag.1.Key=a`). Here they are folded back
//! into the JSON text that the parameter has otherwise; which action it is for plays no part. Only of the encryption contexts
//! one must know that they are maps: their names are the caller's, and may have dots or be numbers.

use std::collections::BTreeMap;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use kms_core::params::Params;
use kms_core::{ErrorCode, KmsError};
use zeroize::Zeroizing;

use crate::encoding::{self, Malformed};
use crate::wiped::Wiped;

/// The most parameters of a request; the contract's longest list of parameters has 12.
const MAX_PARAMETERS: usize = 1000;
/// The most names that dots may part a parameter's name into.
const MAX_DEPTH: usize = 8;

/// The parameters that are about the request itself. No action has one of these names.
const COMMON: [&str; 12] = [
    "AccessKeyId",
    "Action",
    "Format",
    "RegionId",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureType",
    "SignatureVersion",
    "Timestamp",
    "Version",
];

/// The parameters that are maps of texts: what stands behind the first dot is one name, whatever is in it.
const TEXT_MAPS: [&str; 3] = ["DestinationEncryptionContext", "EncryptionContext", "SourceEncryptionContext"];

/// One parameter of a request.
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) text: Zeroizing<String>,
    /// Whether it stood in the query, not in the form.
    pub(crate) in_query: bool,
}

/// The parameters of a request: sorted by the bytes of their names, none twice.
pub(crate) struct Parameters(Vec<Parameter>);

impl Parameters {
    /// Reads the query, and the body of a POST as a form.
    ///
    /// # Errors
    /// `ParseRequestParameterException` for what is malformed, for a name that stands twice (nobody could say which of the two
    /// its sender meant), and for a body that is not a form.
    pub(crate) fn read(method: &Method, query: &str, headers: &HeaderMap, body: &[u8]) -> Result<Self, KmsError> {
        let readable = body.is_empty() || (method == Method::POST && is_form(headers));
        if !readable {
            return Err(unreadable());
        }
        let mut all = Vec::new();
        for (encoded, in_query) in [(query.as_bytes(), true), (body, false)] {
            for pair in encoding::pairs(encoded) {
                let (name, text) = pair.map_err(|Malformed| unreadable())?;
                if all.len() == MAX_PARAMETERS {
                    return Err(unreadable());
                }
                all.push(Parameter { name, text, in_query });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        if all.windows(2).any(|two| two[0].name == two[1].name) {
            return Err(unreadable());
        }
        Ok(Self(all))
    }

    /// The text of a parameter; a blank one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|parameter| parameter.name.as_str().cmp(name)).ok()?;
        Some(self.0[at].text.as_str()).filter(|text| !text.is_empty())
    }

    /// All of them, sorted by the bytes of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter()
    }

    /// Whether a form brought any.
    pub(crate) fn any_in_form(&self) -> bool {
        self.0.iter().any(|parameter| !parameter.in_query)
    }

    /// What is left for the action, with names that have dots folded into one JSON text under their first part:
    /// `A.k=v&A.b.1=x&A.b.2=y` is `A={"b":["x","y"],"k":"v"}`. Since the contract has a parameter whose own name has a dot
    /// (`ExtendedConfig.CustomData`), what stands below two parts is there under both of them as well. In a context, the dots
    /// behind the first one are part of a name: `EncryptionContext.a.b=x` is `EncryptionContext={"a.b":"x"}`.
    ///
    /// # Errors
    /// `ParseRequestParameterException` for a name that has a value and parts below it, for an empty part, and for too many
    /// parts.
    pub(crate) fn into_params(self) -> Result<Params, KmsError> {
        let mut params = Params::default();
        let mut folded: BTreeMap<String, Branch> = BTreeMap::new();
        let mut blank = Vec::new();
        for Parameter { name, text, .. } in self.0 {
            if COMMON.contains(&name.as_str()) {
                continue;
            }
            match name.split_once('.') {
                None if text.is_empty() => blank.push(name),
                None => insert(&mut params, name, text)?,
                // A name stands before those that go on behind it with a dot: this is the order of bytes.
                Some((first, _)) if first.is_empty() || params.text(first).is_some() => return Err(unreadable()),
                Some((first, rest)) => {
                    let branch = folded.entry(first.to_owned()).or_default();
                    if TEXT_MAPS.contains(&first) {
                        // No name stands twice.
                        branch.0.insert(rest.to_owned(), Node::Leaf(text));
                    } else {
                        let parts: Vec<&str> = rest.splitn(MAX_DEPTH - 1, '.').collect();
                        branch.put(&parts, text)?;
                    }
                }
            }
        }
        // A blank parameter may be one (a description), but gives way to its namesakes with dots.
        for name in blank {
            if !folded.contains_key(&name) {
                insert(&mut params, name, Zeroizing::new(String::new()))?;
            }
        }
        for (first, branch) in folded {
            if TEXT_MAPS.contains(&first.as_str()) {
                let text = branch.json(Branch::write_object);
                insert(&mut params, first, text)?;
                continue;
            }
            for (second, node) in &branch.0 {
                let text = match node {
                    Node::Leaf(text) => text.clone(),
                    Node::Branch(branch) => branch.json(Branch::write),
                };
                insert(&mut params, format!("{first}.{second}"), text)?;
            }
            let text = branch.json(Branch::write);
            insert(&mut params, first, text)?;
        }
        Ok(params)
    }
}

fn unreadable() -> KmsError {
    ErrorCode::ParseRequestParameter.into()
}

fn insert(params: &mut Params, name: String, text: Zeroizing<String>) -> Result<(), KmsError> {
    if params.insert(name, text) { Ok(()) } else { Err(unreadable()) }
}

/// Whether the body is said to be a form.
fn is_form(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = value.split_once(';').map_or(value, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// What stands below a name.
enum Node {
    Leaf(Zeroizing<String>),
    Branch(Branch),
}

/// The names below a name.
#[derive(Default)]
struct Branch(BTreeMap<String, Node>);

impl Branch {
    /// Puts a value below the names `parts`.
    fn put(&mut self, parts: &[&str], text: Zeroizing<String>) -> Result<(), KmsError> {
        use std::collections::btree_map::Entry;

        let (part, below) = match parts {
            // A part that holds a dot is the rest of a name with too many of them.
            [part, below @ ..] if !part.is_empty() && !part.contains('.') => (*part, below),
            _ => return Err(unreadable()),
        };
        match self.0.entry(part.to_owned()) {
            Entry::Vacant(place) if below.is_empty() => {
                place.insert(Node::Leaf(text));
                Ok(())
            }
            Entry::Vacant(place) => {
                let mut branch = Self::default();
                branch.put(below, text)?;
                place.insert(Node::Branch(branch));
                Ok(())
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Node::Branch(branch) if !below.is_empty() => branch.put(below, text),
                _ => Err(unreadable()),
            },
        }
    }

    /// The names' values in the order of a list, if the names are the numbers from 1 on, without a gap.
    fn as_list(&self) -> Option<Vec<&Node>> {
        let mut list = vec![None; self.0.len()];
        for (name, node) in &self.0 {
            let index: usize = name.parse().ok()?;
            // One spelling for a number: no sign, no leading zero.
            if index.to_string() != *name {
                return None;
            }
            *list.get_mut(index.checked_sub(1)?)? = Some(node);
        }
        list.into_iter().collect()
    }

    fn json(&self, write: impl FnOnce(&Self, &mut Wiped)) -> Zeroizing<String> {
        let mut out = Wiped::with_capacity(256);
        write(self, &mut out);
        out.into_text()
    }

    fn write(&self, out: &mut Wiped) {
        if let Some(list) = self.as_list() {
            out.push("[");
            for (at, node) in list.into_iter().enumerate() {
                out.push(if at == 0 { "" } else { "," });
                node.write(out);
            }
            out.push("]");
        } else {
            self.write_object(out);
        }
    }

    fn write_object(&self, out: &mut Wiped) {
        out.push("{");
        for (at, (name, node)) in self.0.iter().enumerate() {
            out.push(if at == 0 { "" } else { "," });
            out.push_json_text(name);
            out.push(":");
            node.write(out);
        }
        out.push("}");
    }
}

impl Node {
    fn write(&self, out: &mut Wiped) {
        match self {
            Self::Leaf(text) => out.push_json_text(text),
            Self::Branch(branch) => branch.write(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::encoding::{Spelling, spelled};

    fn query(query: &str) -> Result<Params, KmsError> {
        Parameters::read(&Method::GET, query, &HeaderMap::new(), b"")?.into_params()
    }

    fn refused<T>(result: Result<T, KmsError>) -> bool {
        result.is_err_and(|error| error.code() == ErrorCode::ParseRequestParameter)
    }

    fn post(content_type: Option<&str>, body: &[u8]) -> Result<Parameters, KmsError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        Parameters::read(&Method::POST, "a=1", &headers, body)
    }

    #[test]
    fn a_form_is_what_says_so() {
        for (content_type, body, readable) in [
            (Some("application/x-www-form-urlencoded"), "b=2", true),
            (Some("Application/X-WWW-Form-Urlencoded ; charset=UTF-8"), "b=2", true),
            (Some("application/json; charset=utf-8"), "{}", false),
            (Some("application/x-www-form-urlencoded2"), "b=2", false),
            (Some("multipart/form-data"), "b=2", false),
            (None, "b=2", false),
            (Some("application/json"), "", true),
            (Some("application/octet-stream"), "", true),
            (None, "", true),
        ] {
            let read = post(content_type, body.as_bytes());
            assert_eq!(read.as_ref().is_ok(), readable, "{content_type:?}");
            if let Ok(parameters) = read {
                assert_eq!(parameters.text("a"), Some("1"));
                assert_eq!(parameters.text("b"), (!body.is_empty()).then_some("2"), "{content_type:?}");
                assert_eq!(parameters.any_in_form(), !body.is_empty());
            }
        }
        let form =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
        assert!(refused(Parameters::read(&Method::GET, "", &form, b"b=2")));
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let form = Some("application/x-www-form-urlencoded");
        assert!(refused(post(form, b"a=1")));
        assert!(refused(post(form, b"a=")));
        assert!(refused(post(form, b"%61=2")));
        assert!(refused(query("a=1&b=2&a=1")));
        assert!(refused(query("a&a")));
        assert!(post(form, b"A=1").is_ok());
    }

    #[test]
    fn what_is_malformed_or_too_much_is_refused() {
        assert!(refused(query("a=%4")));
        assert!(refused(post(Some("application/x-www-form-urlencoded"), b"b=\xff")));
        let many = |count: usize| (0..count).map(|n| format!("p{n}=1&")).collect::<String>();
        assert!(query(&many(MAX_PARAMETERS)).is_ok());
        assert!(refused(query(&many(MAX_PARAMETERS + 1))));
    }

    #[test]
    fn blank_is_absent_and_only_a_description_may_tell() {
        let parameters = Parameters::read(&Method::GET, "SignatureType=&Description=", &HeaderMap::new(), b"").unwrap();
        assert_eq!(parameters.text("SignatureType"), None);
        assert_eq!(parameters.text("Nothing"), None);
        let params = parameters.into_params().unwrap();
        assert_eq!((params.text("Description"), params.text_or_empty("Description")), (None, Some("")));
    }

    #[test]
    fn common_parameters_are_not_the_actions() {
        let query = COMMON.map(|name| format!("{name}=x")).join("&") + "&KeyId=k";
        let params = self::query(&query).unwrap();
        assert_eq!(format!("{params:?}"), r#"["KeyId"]"#);
    }

    /// No parameter of an action is lost to the common ones, and none has more parts than the fold looks at.
    #[test]
    fn the_contracts_names_are_clear_of_ours() {
        #[derive(serde::Deserialize)]
        struct Action {
            request: Vec<Named>,
        }
        #[derive(serde::Deserialize)]
        struct Named {
            name: String,
        }
        let actions: Vec<Action> = serde_json::from_str(include_str!("../../contract/actions.json")).unwrap();
        let names: Vec<String> =
            actions.into_iter().flat_map(|action| action.request).map(|named| named.name).collect();
        assert!(names.len() > 100);
        for name in names {
            assert!(!COMMON.contains(&name.as_str()), "{name}");
            assert!(name.matches('.').count() <= 1, "{name}");
        }
    }

    #[test]
    fn dots_are_folded() {
        for (query, name, folded) in [
            ("C.k=v", "C", r#"{"k":"v"}"#),
            ("C.k=v&C.j=", "C", r#"{"j":"","k":"v"}"#),
            ("C.k=v&C=", "C", r#"{"k":"v"}"#),
            ("E.CustomData.DBName=app1", "E", r#"{"CustomData":{"DBName":"app1"}}"#),
            ("E.CustomData.DBName=app1", "E.CustomData", r#"{"DBName":"app1"}"#),
            ("E.CustomData={\"a\":\"b\"}", "E.CustomData", r#"{"a":"b"}"#),
            (
                "T.2.Key=c&T.1.Value=b&T.1.Key=a&T.2.Value=d",
                "T",
                r#"[{"Key":"a","Value":"b"},{"Key":"c","Value":"d"}]"#,
            ),
            ("X.2=b&X.1=a", "X", r#"["a","b"]"#),
            (
                "X.1=1&X.2=2&X.3=3&X.4=4&X.5=5&X.6=6&X.7=7&X.8=8&X.9=9&X.10=10",
                "X",
                r#"["1","2","3","4","5","6","7","8","9","10"]"#,
            ),
            // A gap, another beginning or another spelling: names, not places.
            ("X.1=a&X.3=b", "X", r#"{"1":"a","3":"b"}"#),
            ("X.0=a&X.1=b", "X", r#"{"0":"a","1":"b"}"#),
            ("X.01=a", "X", r#"{"01":"a"}"#),
            ("X.1=a&X.k=b", "X", r#"{"1":"a","k":"b"}"#),
            ("X.18446744073709551616=a", "X", r#"{"18446744073709551616":"a"}"#),
            ("C.%22%0A%5C=%22%00%E4%B8%AD", "C", r#"{"\"\u000a\\":"\"\u0000中"}"#),
            ("C.k.k.k.k.k.k.k=x", "C", r#"{"k":{"k":{"k":{"k":{"k":{"k":{"k":"x"}}}}}}}"#),
            ("C-x=1&C.k=v&C=", "C-x", "1"),
            // The names of contexts are the caller's.
            ("EncryptionContext.a.b=x&EncryptionContext.a=y", "EncryptionContext", r#"{"a":"y","a.b":"x"}"#),
            (
                "SourceEncryptionContext.1=x&SourceEncryptionContext.2=y",
                "SourceEncryptionContext",
                r#"{"1":"x","2":"y"}"#,
            ),
            ("DestinationEncryptionContext.k..=v", "DestinationEncryptionContext", r#"{"k..":"v"}"#),
            ("EncryptionContext.k.k.k.k.k.k.k.k.k=x", "EncryptionContext", r#"{"k.k.k.k.k.k.k.k.k":"x"}"#),
            ("EncryptionContext.=x&EncryptionContext=", "EncryptionContext", r#"{"":"x"}"#),
        ] {
            let params = self::query(query).unwrap_or_else(|error| panic!("{query}: {error}"));
            assert_eq!(params.text(name), Some(folded), "{query}");
        }
    }

    #[test]
    fn dots_that_contradict_are_refused() {
        for query in [
            "C=x&C.k=v",
            "C.k=v&C.k.j=w",
            "C.k.j=w&C.k=v",
            "C..k=v",
            "C.=v",
            ".C=v",
            ".=v",
            "C.k.=v",
            "C.k.k.k.k.k.k.k.k=x",
            "EncryptionContext={}&EncryptionContext.k=v",
        ] {
            assert!(refused(self::query(query)), "{query}");
        }
    }

    proptest! {
        // A map goes the way of a client that flattens it, and comes out as serde_json reads a map.
        #[test]
        fn a_flattened_map_comes_back(map in prop::collection::btree_map("[a-z\"\\\\中]{1,5}", any::<String>(), 1..6)) {
            let query: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("M.{}={}", spelled(Spelling::ONCE, name), spelled(Spelling::ONCE, value)))
                .collect();
            let params = query_of(&query);
            let back: BTreeMap<String, String> = serde_json::from_str(params.text("M").unwrap()).unwrap();
            prop_assert_eq!(back, map);
        }

        #[test]
        fn a_flattened_context_comes_back(map in prop::collection::btree_map(any::<String>(), any::<String>(), 1..6)) {
            let query: Vec<String> = map
                .iter()
                .map(|(name, value)| {
                    format!("EncryptionContext.{}={}", spelled(Spelling::ONCE, name), spelled(Spelling::ONCE, value))
                })
                .collect();
            let params = query_of(&query);
            let back: BTreeMap<String, String> = serde_json::from_str(params.text("EncryptionContext").unwrap()).unwrap();
            prop_assert_eq!(back, map);
        }

        #[test]
        fn a_flattened_list_comes_back_in_any_order(list in prop::collection::vec(any::<String>(), 1..30), by in 0_usize..30) {
            let mut query: Vec<String> = list
                .iter()
                .enumerate()
                .map(|(at, value)| format!("L.{}={}", at + 1, spelled(Spelling::ONCE, value)))
                .collect();
            query.rotate_left(by % list.len());
            let params = query_of(&query);
            let back: Vec<String> = serde_json::from_str(params.text("L").unwrap()).unwrap();
            prop_assert_eq!(back, list);
        }
    }

    fn query_of(pieces: &[String]) -> Params {
        query(&pieces.join("&")).unwrap()
    }
}
