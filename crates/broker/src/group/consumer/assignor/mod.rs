//! Who shall read which partition. An assignor looks at all members of a group at once and says what each of them
//! is to have in the end; how they get there without two reading the same is the business of
//! [`reconcile`](super::reconcile).

mod range;
mod uniform;
#[cfg(test)]
mod uniform_tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::group::consumer::Partitions;

/// What an assignor knows of one member.
#[derive(Debug)]
pub(crate) struct Subscriber<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) topics: &'a BTreeSet<Uuid>,
    /// What it was to have until now.
    pub(crate) previous: &'a Partitions,
}

/// The assignors there are, by the names that clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Assignor {
    /// Everyone gets as many partitions as the others, and keeps what it has as far as that allows.
    Uniform,
    /// Topic by topic, neighbouring partitions go to the same member.
    Range,
}

impl Assignor {
    /// All of them, the one first that a group has whose members do not care.
    pub(crate) const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Divides all partitions of `topics` among those who subscribe to them, in the order of `members`.
    pub(crate) fn assign(self, members: &[Subscriber<'_>], topics: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
        match self {
            Self::Uniform => uniform::assign(members, topics),
            Self::Range => range::assign(members, topics),
        }
    }
}
