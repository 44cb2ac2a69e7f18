//! Runs the scenarios of `scenarios/` through the engine. Their language is told in `scenarios/README.md`.

#[path = "common/scenario.rs"]
mod scenario;

use kms_engine::Engine;
use scenario::{Failure, Params, Surface, Told};

/// The engine itself.
struct Direct(Engine);

impl Surface for Direct {
    fn engine(&self) -> &Engine {
        &self.0
    }

    fn call(&mut self, action: &str, params: Params<'_>) -> Result<Option<Told>, String> {
        let (Params::Json(text) | Params::Raw(text)) = params;
        let answer = self.0.call(action, text);
        let result = answer.result.map(|text| text.as_str().to_owned()).map_err(|error| Failure {
            code: error.code().as_str().to_owned(),
            http_status: error.code().http_status(),
            message: error.to_string(),
        });
        Ok(Some(Told { request_id: answer.request_id.to_string(), result }))
    }
}

#[test]
fn every_scenario_holds() {
    let counts = scenario::run_all(Direct);
    scenario::report(counts);
}
