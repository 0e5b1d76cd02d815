//! All that a client sends over one connection.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_broker::fuzzing::requests(bytes));
