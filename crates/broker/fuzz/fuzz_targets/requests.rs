//! What a client sends, byte for byte.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_broker::fuzzing::requests(bytes));
