//! See `kms_fuzz::record`.

#![no_main]

libfuzzer_sys::fuzz_target!(init: kms_fuzz::sanitizer::check_on_request(), |data: &[u8]| kms_fuzz::record::run(data));
