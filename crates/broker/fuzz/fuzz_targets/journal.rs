//! What the journals hold at start.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| thalweg_broker::fuzzing::journal(bytes));
