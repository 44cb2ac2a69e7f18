//! See `kms_fuzz::ecdsa`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: kms_fuzz::sanitizer::check_on_request(), |data: &[u8]| kms_fuzz::ecdsa::run(data));
