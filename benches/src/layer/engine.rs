//! The engine: it adds the key's id as text, the cache, the clock, and the checks of engine and account.

use kms_engine::{BLOB_OVERHEAD, Config, Engine};
use serde_json::{Value, json};

use super::{Layer, SPEC};

/// An engine on a store in memory.
#[derive(Debug)]
pub struct InEngine {
    engine: Engine,
    key: String,
    spec: &'static str,
}

impl InEngine {
    /// With a key of this spec.
    ///
    /// # Panics
    /// When the engine does not open or the key cannot be made.
    #[must_use]
    pub fn new(spec: &'static str) -> Self {
        let config = Config::parse(r#"{"store":"memory:"}"#).expect("the configuration is good");
        let engine = Engine::open(config).expect("the engine opens");
        let reply = engine.call("CreateKey", &json!({ "KeySpec": spec }).to_string()).result.expect("a key is made");
        let reply: Value = serde_json::from_str(&reply).expect("the reply is JSON");
        let key = reply["KeyMetadata"]["KeyId"].as_str().expect("the reply names the key").to_owned();
        Self { engine, key, spec }
    }
}

impl Layer for InEngine {
    const OVERHEAD: usize = BLOB_OVERHEAD;

    fn name(&self) -> String {
        if self.spec == SPEC { "engine".to_owned() } else { format!("engine, {}", self.spec) }
    }

    fn encrypt(&mut self, plaintext: &[u8], out: &mut [u8]) {
        let len = self.engine.encrypt(&self.key, plaintext, "", out).expect("it encrypts");
        assert_eq!(len, out.len());
    }

    fn decrypt(&mut self, sealed: &[u8], out: &mut [u8]) {
        let len = self.engine.decrypt(sealed, "", out).expect("it decrypts");
        assert_eq!(len, out.len());
    }

    fn generate_data_key(&mut self, data_key: &mut [u8], out: &mut [u8]) {
        let len = self.engine.generate_data_key(&self.key, data_key, "", out).expect("it makes a data key");
        assert_eq!(len, out.len());
    }
}
