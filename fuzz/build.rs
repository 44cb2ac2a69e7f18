//! Compiles the one C function of this package, which asks whether C code is watched by AddressSanitizer; with the compiler
//! and the flags (`CC`, `CFLAGS`) that ring is compiled with.

fn main() {
    println!("cargo::rerun-if-changed=src/out_of_bounds.c");
    cc::Build::new().file("src/out_of_bounds.c").opt_level(0).compile("kms_fuzz_out_of_bounds");
}
