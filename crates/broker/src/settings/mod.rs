//! Settings under Kafka's names: the only place where they are defined, checked and parsed.
//!
//! The tables in `topic`, `broker` and `group` say what there is; everything else asks for typed values. A setting
//! of a topic that was not made takes the broker's, and the broker's are those it was started with, under those
//! that were altered since.

pub(crate) mod alter;
pub(crate) mod broker;
mod broker_table;
pub(crate) mod definition;
pub(crate) mod describe;
pub(crate) mod group;
mod listener;
pub(crate) mod quotas;
pub(crate) mod store;
pub(crate) mod topic;
mod values;

use std::collections::BTreeMap;

pub(crate) use broker_table::is_secret;

/// Settings as they were given: not all there are.
pub(crate) type Given = BTreeMap<String, String>;
