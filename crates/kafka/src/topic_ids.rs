//! The ids of topics (KIP-516), by librdkafka's `DescribeTopics`, which the `rdkafka` crate does not wrap.
//!
//! A name may stand for one topic today and for another tomorrow; an id does not. A cluster of before Kafka 2.8 gives none.
//!
//! # Why the `unsafe` here is sound
//!
//! All of it is calls of librdkafka's C interface, as `rdkafka.h` documents them:
//!
//! - the client pointer is that of a live [`Client`], which is borrowed for the whole call;
//! - what is created here (names, options, queue) is destroyed once, by [`Owned`], in the reverse order, and nothing keeps a
//!   pointer to it: librdkafka copies the names and the options when it is called, and counts its own references to the queue, so
//!   that an answer that comes after the queue is gone is dropped;
//! - what the event points to (result, descriptions, names, ids) lives as long as the event; it is copied before the event is
//!   destroyed.

#![allow(unsafe_code, reason = "the rdkafka crate does not wrap this call; the proof is above")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::error::KafkaError;

/// A topic's id, as Kafka's tools show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicId(pub(crate) String);

/// What the cluster says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Described {
    Id(TopicId),
    /// The cluster gives topics no ids.
    NoId,
    Absent,
}

impl Described {
    pub(crate) fn id(&self) -> Option<&TopicId> {
        match self {
            Self::Id(id) => Some(id),
            Self::NoId | Self::Absent => None,
        }
    }
}

/// Something of librdkafka's that is to be destroyed.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the constructor that belongs to this destructor, and is destroyed only here.
        unsafe { (self.1)(self.0) }
    }
}

/// Asks the cluster for the ids of topics.
///
/// # Errors
/// An unreachable cluster, or topics that this user may not see.
pub(crate) fn describe<C: ClientContext>(
    client: &Client<C>,
    bootstrap: &str,
    topics: &BTreeSet<String>,
    timeout: Duration,
) -> Result<BTreeMap<String, Described>, KafkaError> {
    let mut found: BTreeMap<String, Described> =
        topics.iter().map(|topic| (topic.clone(), Described::Absent)).collect();
    // A name that C cannot spell is none of Kafka's.
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    if names.is_empty() {
        return Ok(found);
    }
    let failed = |code| {
        let error = ClientError::AdminOp(code);
        KafkaError::from_client("look up the ids of topics", bootstrap, timeout, error)
    };
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX - 1000).max(1);
    let rk = client.native_ptr();
    let mut pointers: Vec<*const std::ffi::c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: see the top of the page. `pointers` are as many valid C strings as it is long.
    let event = unsafe {
        let queue = Owned(c::rd_kafka_queue_new(rk), c::rd_kafka_queue_destroy);
        let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = Owned(c::rd_kafka_AdminOptions_new(rk, operation), c::rd_kafka_AdminOptions_destroy);
        // It fails for a time out of range only; the default of the client is as good then.
        let _ = c::rd_kafka_AdminOptions_set_request_timeout(options.0, milliseconds, ptr::null_mut(), 0);
        let asked = Owned(
            c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            c::rd_kafka_TopicCollection_destroy,
        );
        c::rd_kafka_DescribeTopics(rk, asked.0, options.0, queue.0);
        // An answer, if only that there was none in time, comes always.
        Owned(c::rd_kafka_queue_poll(queue.0, milliseconds.saturating_add(1000)), c::rd_kafka_event_destroy)
    };
    if event.0.is_null() {
        return Err(failed(Code::OperationTimedOut));
    }
    // SAFETY: the event is not null, and lives until the end of the function.
    match Code::from(unsafe { c::rd_kafka_event_error(event.0) }) {
        Code::NoError => {}
        Code::UnsupportedFeature | Code::UnsupportedVersion => {
            found.values_mut().for_each(|described| *described = Described::NoId);
            return Ok(found);
        }
        code => return Err(failed(code)),
    }
    // SAFETY: an event without error that answers DescribeTopics has a result, with `count` descriptions, each with a name, an
    // id and an error object; all of them live as long as the event.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event.0);
        if result.is_null() {
            return Err(failed(Code::BadMessage));
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        for index in 0..count {
            let topic = *topics.add(index);
            let name =
                CStr::from_ptr(c::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let described =
                match Code::from(c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(topic))) {
                    Code::NoError => id(c::rd_kafka_TopicDescription_topic_id(topic)),
                    Code::UnknownTopicOrPartition | Code::UnknownTopic => Described::Absent,
                    code => return Err(failed(code)),
                };
            found.insert(name, described);
        }
    }
    Ok(found)
}

/// # Safety
/// The pointer is null, or that of a live id.
unsafe fn id(uuid: *const c::rd_kafka_Uuid_t) -> Described {
    if uuid.is_null() {
        return Described::NoId;
    }
    // SAFETY: as the caller promises; the text belongs to the id, and is copied.
    unsafe {
        let bits =
            (c::rd_kafka_Uuid_most_significant_bits(uuid), c::rd_kafka_Uuid_least_significant_bits(uuid));
        // All zeroes: none.
        if bits == (0, 0) {
            return Described::NoId;
        }
        Described::Id(TopicId(
            CStr::from_ptr(c::rd_kafka_Uuid_base64str(uuid)).to_string_lossy().into_owned(),
        ))
    }
}
