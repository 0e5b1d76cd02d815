//! Has a producer send at once what it lets linger, by librdkafka's `rd_kafka_flush`.
//!
//! The `rdkafka` crate's own flush calls it without a time to wait, and then, librdkafka says, the threads that send may look only
//! when the flush is over, and go on to linger. It has to last until they have looked.
//!
//! # Why the `unsafe` here is sound
//!
//! It is one call of a function of librdkafka's that may be called from any thread at any time, with the pointer of a client that is
//! borrowed, and so alive, for the whole call. A producer that reports deliveries as events, as those of `rdkafka` do, runs no
//! callback in it.

#![allow(unsafe_code, reason = "the rdkafka crate does not wrap this call as it is; the proof is above")]

use rdkafka::bindings::rd_kafka_flush;
use rdkafka::client::{Client, ClientContext};

/// Sends what is queued. Returns when all of it is delivered, or after this many milliseconds.
pub(crate) fn send_now<C: ClientContext>(client: &Client<C>, most_ms: i32) {
    // SAFETY: see the top of the page.
    let _ = unsafe { rd_kafka_flush(client.native_ptr(), most_ms) };
}
