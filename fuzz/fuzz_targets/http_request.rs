//! See `kms_fuzz::http_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: kms_fuzz::sanitizer::check_on_request(), |data: &[u8]| kms_fuzz::http_request::run(data));
