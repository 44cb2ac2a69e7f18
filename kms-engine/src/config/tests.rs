//! Tests of the configuration.

use proptest::prelude::*;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

fn good(json: &str) -> Config {
    Config::parse(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Why a configuration is refused.
fn refusal(json: &str) -> String {
    let error = Config::parse(json).err().unwrap_or_else(|| panic!("{json} is accepted"));
    assert_eq!(error.code(), ErrorCode::InvalidConfig, "{json}");
    error.detail().expect("a reason").to_owned()
}

/// Why a configuration in memory with this member too is refused.
fn refused_member(member: &str) -> String {
    refusal(&format!(r#"{{"store":"memory:",{member}}}"#))
}

#[test]
fn a_store_in_memory_needs_nothing_else() {
    let config = good(r#"{"store":"memory:"}"#);
    assert_eq!(config.store, StoreLocation::Memory);
    assert!(config.root_key.is_none());
    assert_eq!(config.settings, Settings::default());
    assert_eq!(config.account_status, AccountStatus::Enabled);
    assert_eq!(config.clock, ClockSetting::System);
    assert_eq!(config.seed, None);
    assert_eq!(config.cache, 10_000);
}

#[test]
fn every_member_is_read() {
    let config = good(&format!(
        r#"{{
            "store": "sled:/var/lib/kms",
            "root_key": {{"hex": "{HEX}"}},
            "account_id": "1234567890123456",
            "region": "cn-beijing",
            "regions": ["cn-beijing", "eu-west-1"],
            "clock": {{"manual": "2030-01-01T00:00:00Z"}},
            "limits": {{"keys": 10, "aliases": 0}},
            "account_status": "NotEnabled",
            "hsm": false,
            "cache": 5
        }}"#
    ));
    assert_eq!(config.store, StoreLocation::Sled("/var/lib/kms".into()));
    let Some(RootKeySource::Bytes(key)) = &config.root_key else { panic!("another form of root key") };
    assert_eq!(key.expose(), std::array::from_fn::<u8, 32, _>(|i| i as u8));
    let limits = Limits { keys: Some(10), aliases: Some(0), key_versions: 50 };
    assert_eq!(
        config.settings,
        Settings {
            account: "1234567890123456".to_owned(),
            region: "cn-beijing".to_owned(),
            regions: vec!["cn-beijing".to_owned(), "eu-west-1".to_owned()],
            hsm: false,
            limits,
        }
    );
    assert_eq!(config.clock, ClockSetting::Manual(Timestamp::from_unix(1_893_456_000)));
    assert_eq!(config.account_status, AccountStatus::NotEnabled);
    assert_eq!(config.cache, 5);
}

#[test]
fn null_is_absent() {
    let config = good(
        r#"{"store":"memory:","root_key":null,"seed":null,"clock":null,"limits":{"keys":null,"aliases":7},"hsm":null}"#,
    );
    assert!(config.root_key.is_none() && config.settings.hsm);
    assert_eq!(config.settings.limits, Limits { keys: None, aliases: Some(7), key_versions: 50 });
    assert!(refused_member(r#""sede":null"#).contains("sede is not a known member"));
    assert_eq!(refusal(r#"{"store":null}"#), "store is missing");
}

#[test]
fn stores_are_named_by_a_scheme_or_a_path() {
    for (text, path) in [
        ("sled:x", "x"),
        ("sled:/a/b", "/a/b"),
        ("sled:redb:x", "redb:x"),
        ("/a:b", "/a:b"),
        ("./redb:x", "./redb:x"),
        ("data", "data"),
        ("a b:c", "a b:c"),
        ("memory", "memory"),
        ("1:2", "1:2"),
    ] {
        let config = good(&format!(r#"{{"store":"{text}","root_key":{{"hex":"{HEX}"}}}}"#));
        assert_eq!(config.store, StoreLocation::Sled(path.into()), "{text}");
    }
    for (text, reason) in [
        ("", "store has an empty path"),
        ("sled:", "store has an empty path"),
        (r"sled:a\u0000b", "store has a NUL character in its path"),
        ("memory:x", "store: nothing may follow memory:"),
        ("redb:/x", "store: this build has no backend redb; it has memory: and sled:PATH"),
        ("postgres://u:p@h/d", "store: this build has no backend postgres; it has memory: and sled:PATH"),
        ("SLED:x", "store: this build has no backend SLED; it has memory: and sled:PATH"),
        ("mem:", "store: this build has no backend mem; it has memory: and sled:PATH"),
    ] {
        assert_eq!(refusal(&format!(r#"{{"store":"{text}","root_key":{{"hex":"{HEX}"}}}}"#)), reason, "{text}");
    }
    assert_eq!(refusal("{}"), "store is missing");
    assert_eq!(refusal(r#"{"store":1}"#), "store must be a text");
}

#[test]
fn the_root_key_has_one_form() {
    let source = |form: &str| good(&format!(r#"{{"store":"x","root_key":{form}}}"#)).root_key.expect("a root key");
    assert!(matches!(source(r#"{"passphrase":"pa\"ss"}"#), RootKeySource::Passphrase(text) if *text == "pa\"ss"));
    assert!(matches!(source(r#"{"env":"KEY"}"#), RootKeySource::Env(name) if name == "KEY"));
    for (form, allowed) in [
        (r#"{"file":"/k"}"#, false),
        (r#"{"file":"/k","create":false}"#, false),
        (r#"{"file":"/k","create":true}"#, true),
        (r#"{"file":"/k","create":null,"hex":null}"#, false),
    ] {
        let RootKeySource::File { path, create } = source(form) else { panic!("{form}") };
        assert_eq!((path, create), (PathBuf::from("/k"), allowed), "{form}");
    }
    for (form, reason) in [
        ("{}", "root_key must have exactly one of passphrase, file, hex and env"),
        (r#"{"passphrase":"a","env":"B"}"#, "root_key must have exactly one of passphrase, file, hex and env"),
        (r#"{"create":true}"#, "root_key.create goes with root_key.file"),
        (r#"{"passphrase":"a","create":true}"#, "root_key.create goes with root_key.file"),
        (r#"{"passphrase":""}"#, "root_key.passphrase must not be empty"),
        (r#"{"passphrase":1}"#, "root_key.passphrase must be a text"),
        (r#"{"file":""}"#, "root_key.file must be a path"),
        (r#"{"file":"a\u0000b"}"#, "root_key.file must be a path"),
        (r#"{"file":"k","create":"true"}"#, "root_key.create must be true or false"),
        (r#"{"hex":"00"}"#, "root_key.hex must be 64 hexadecimal digits"),
        (r#"{"hex":5}"#, "root_key.hex must be a text"),
        (r#"{"env":""}"#, "root_key.env must be the name of an environment variable"),
        (r#"{"env":"A=B"}"#, "root_key.env must be the name of an environment variable"),
        (r#"{"password":"a"}"#, "root_key.password is not a known member"),
        (r#"{"env":"A","env":"A"}"#, "root_key.env stands twice"),
        (r#""secret""#, "root_key must be an object"),
        ("[]", "root_key must be an object"),
    ] {
        assert_eq!(refusal(&format!(r#"{{"store":"x","root_key":{form}}}"#)), reason, "{form}");
    }
    assert!(refusal(r#"{"store":"x"}"#).starts_with("root_key is missing"));
    assert!(good(&format!(r#"{{"store":"memory:","root_key":{{"hex":"{HEX}"}}}}"#)).root_key.is_some());
}

#[test]
fn the_host_may_give_the_root_key_as_bytes() {
    let config = Config::parse_with_root_key(r#"{"store":"x"}"#, Some(&[7; 32])).expect("a configuration");
    let Some(RootKeySource::Bytes(key)) = &config.root_key else { panic!("another form of root key") };
    assert_eq!(key.expose(), [7; 32]);
    let refusal = |json: &str, bytes: &[u8]| {
        let error = Config::parse_with_root_key(json, Some(bytes)).err().expect("a refusal");
        error.detail().expect("a reason").to_owned()
    };
    for len in [0, 31, 33] {
        assert_eq!(refusal(r#"{"store":"x"}"#, &vec![7; len]), "root_key must have 32 bytes");
    }
    let both = format!(r#"{{"store":"x","root_key":{{"hex":"{HEX}"}}}}"#);
    assert!(refusal(&both, &[7; 32]).starts_with("root_key is given"));
}

#[test]
fn a_seed_is_for_tests_alone() {
    let manual = r#""clock":{"manual":"2030-01-01T00:00:00Z"}"#;
    for seed in [0, 42, u64::MAX] {
        assert_eq!(good(&format!(r#"{{"store":"memory:",{manual},"seed":{seed}}}"#)).seed, Some(seed));
    }
    let reason = "seed is for a store in memory with a manual clock alone";
    assert_eq!(refused_member(r#""seed":1"#), reason);
    assert_eq!(refused_member(r#""seed":1,"clock":"system""#), reason);
    assert_eq!(refusal(&format!(r#"{{"store":"x","root_key":{{"hex":"{HEX}"}},{manual},"seed":1}}"#)), reason);
    for bad in ["-1", "1.0", "1e3", "\"1\"", "18446744073709551616", "true", "[]"] {
        let reason = refused_member(&format!(r#"{manual},"seed":{bad}"#));
        assert_eq!(reason, "seed must be a whole number from 0 to 18446744073709551615", "{bad}");
    }
}

#[test]
fn limits_are_numbers_or_the_clouds() {
    let limits = |json: &str| good(&format!(r#"{{"store":"memory:","limits":{json}}}"#)).settings.limits;
    assert_eq!(limits("\"alibaba\""), Limits { keys: Some(200), aliases: Some(300), key_versions: 50 });
    assert_eq!(limits("{}"), Limits::default());
    assert_eq!(limits(r#"{"aliases":3}"#), Limits { keys: None, aliases: Some(3), key_versions: 50 });
    assert_eq!(limits(r#"{"key_versions":0}"#), Limits { keys: None, aliases: None, key_versions: 0 });
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (member, reason) in [
        (r#""account_id":"123""#, "account_id must be 16 digits"),
        (r#""account_id":"123456789012345x""#, "account_id must be 16 digits"),
        (r#""account_id":1234567890123456"#, "account_id must be 16 digits"),
        (r#""region":"""#, "region must be lower-case letters, digits and hyphens"),
        (r#""region":"Cn""#, "region must be lower-case letters, digits and hyphens"),
        (r#""regions":"cn""#, "regions must be a list"),
        (r#""regions":["a",1]"#, "regions[1] must be lower-case letters, digits and hyphens"),
        (r#""regions":["a","a:b"]"#, "regions[1] must be lower-case letters, digits and hyphens"),
        (r#""regions":["a","b","a"]"#, "regions must be a list in which no region stands twice"),
        (r#""clock":"manual""#, "clock must be \"system\" or {\"manual\": a time}"),
        (r#""clock":{}"#, "clock must be \"system\" or {\"manual\": a time}"),
        (r#""clock":5"#, "clock must be \"system\" or {\"manual\": a time}"),
        (
            r#""clock":{"manual":"tomorrow"}"#,
            "clock.manual is not a time of the form YYYY-MM-DDThh:mm:ssZ between 1970 and 9999",
        ),
        (r#""clock":{"manual":"2030-01-01T00:00:00Z","x":1}"#, "clock.x is not a known member"),
        (
            r#""limits":"none""#,
            "limits must be \"alibaba\" or {\"keys\": a number, \"aliases\": a number, \"key_versions\": a number}",
        ),
        (r#""limits":{"keys":-1}"#, "limits.keys must be a whole number from 0 to 18446744073709551615"),
        (r#""limits":{"key":1}"#, "limits.key is not a known member"),
        (r#""account_status":"enabled""#, "account_status must be one of Enabled, NotEnabled, InDebt, Suspended"),
        (r#""account_status":1"#, "account_status must be a text"),
        (r#""hsm":"true""#, "hsm must be true or false"),
        (r#""cache":0"#, "cache must be a whole number from 1 to 10000000"),
        (r#""cache":10000001"#, "cache must be a whole number from 1 to 10000000"),
        (r#""sweep":-1"#, "sweep must be a whole number from 0 to 31536000"),
        (r#""sweep":31536001"#, "sweep must be a whole number from 0 to 31536000"),
        (r#""audit":{}"#, "audit is not a known member"),
        (r#""Hsm":true"#, "Hsm is not a known member"),
        (r#""hsm":true,"hsm":true"#, "hsm stands twice"),
        (r#""hsm":true,"\u0068sm":null"#, "hsm stands twice"),
        ("\"a\\n\":1", "a\\n is not a known member"),
    ] {
        assert_eq!(refused_member(member), reason, "{member}");
    }
}

#[test]
fn names_in_messages_are_short() {
    let reason = refused_member(&format!(r#""{}":1"#, "é".repeat(1000)));
    assert_eq!(reason, format!("{}... is not a known member", "é".repeat(64)));
}

#[test]
fn what_is_no_object_is_refused() {
    for json in ["", "{", "nonsense", r#"{"store":"memory:"}x"#, r#"{"store":"memory:",}"#] {
        assert!(refusal(json).starts_with("it is not JSON, see line 1, column "), "{json}");
    }
    for json in ["[]", "null", "\"memory:\"", "1"] {
        assert_eq!(refusal(json), "it is not a JSON object", "{json}");
    }
}

// Goal: no message shows a secret, whatever is wrong with it. Method: secrets in wrong places and of wrong types.
#[test]
fn refusals_do_not_show_values() {
    for json in [
        r#"{"store":"x","root_key":"hunter2"}"#,
        r#"{"store":"x","root_key":["hunter2"]}"#,
        r#"{"store":"x","root_key":{"passphrase":["hunter2"]}}"#,
        r#"{"store":"x","root_key":{"hex":"hunter2"}}"#,
        r#"{"store":"x","root_key":{"passphrase":"hunter2"},"cache":"hunter2"}"#,
        r#"{"store":"x","root_key":{"passphrase":"hunter2\ud800"}}"#,
        r#"{"store":"x","root_key":{"passphrase":"hunter2}}"#,
        r#"{"store":"postgres://u:hunter2@h/d"}"#,
        r#""hunter2""#,
    ] {
        assert!(!refusal(json).contains("hunter2"), "{json}");
    }
}

proptest! {
    #[test]
    fn passphrases_keep_their_exact_text(passphrase in ".{1,20}") {
        let json = serde_json::json!({"store": "x", "root_key": {"passphrase": passphrase}}).to_string();
        let Some(RootKeySource::Passphrase(read)) = good(&json).root_key else { panic!("another form") };
        prop_assert_eq!(read.as_str(), passphrase);
    }
}
