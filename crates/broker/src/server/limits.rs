//! How many connections there may be, and how much memory their requests may take together.
//!
//! When descriptors get scarce, connections that have never asked anything go first, those that have been silent for
//! longest before the others. Whoever has asked something stays, and whoever comes then is turned away.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::server::endpoint::Endpoint;
use crate::server::long_request::Buffers;
use crate::server::memory::Memory;
use crate::settings::broker::BrokerSettings;
use crate::state::State;

/// Bytes of long requests of all who have not proved yet who they are. A proof is short.
const PROOFS: usize = 4 << 20;
/// Connections that may have been told to go without being gone yet.
const GOING: usize = 16;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Limits {
    open: Mutex<Open>,
    /// For requests of clients that are known, or need not be.
    pub(super) requests: Memory,
    /// For those of clients that have to prove first who they are.
    pub(super) proofs: Memory,
    pub(super) buffers: Buffers,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
    by_listener: HashMap<String, usize>,
    /// Those that have never asked anything, in the order in which they came.
    silent: BTreeMap<u64, Arc<Notify>>,
    /// How many have been told to go, and are not gone yet.
    going: usize,
    next_id: u64,
}

/// Why a connection is closed as soon as it is there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Full {
    #[error("there are {0} connections, as many as max.connections allows")]
    All(usize),
    #[error("there are {0} connections of this address, as many as max.connections.per.ip allows")]
    OfAddress(usize),
    #[error("there are {0} connections of this listener, as many as its max.connections allows")]
    OfListener(usize),
    #[error(
        "there are {0} connections, and no more files that this process may open (ulimit -Hn) but those that are kept \
         for the logs"
    )]
    Descriptors(usize),
    /// The same, but some of them are about to go.
    #[error("there are {0} connections, and those that were to make room are not gone yet")]
    Going(usize),
}

impl Limits {
    pub(crate) fn new(settings: &BrokerSettings) -> Self {
        let bytes = match usize::try_from(settings.queued_max_request_bytes) {
            Ok(bytes @ 1..) => bytes,
            _ => usize::MAX / 2,
        };
        Self {
            open: Mutex::default(),
            requests: Memory::new(bytes),
            proofs: Memory::new(PROOFS),
            buffers: Buffers::default(),
        }
    }

    /// Has the connection go that has been silent for longest, unless one is going already. Returns whether one is.
    pub(crate) fn make_room(&self) -> bool {
        let mut open = self.open();
        open.going > 0 || open.dismiss_silent()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn dismiss_silent(&mut self) -> bool {
        let told = self.silent.pop_first().map(|(_, told)| told.notify_one()).is_some();
        self.going += usize::from(told);
        told
    }
}

/// One connection's place among those that are allowed, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    state: Arc<State>,
    ip: IpAddr,
    listener: String,
    id: u64,
    /// Told when it has to go.
    told: Arc<Notify>,
    has_asked: AtomicBool,
}

impl Place {
    /// Takes a place if there is one for that address and that listener.
    pub(crate) fn take(state: &Arc<State>, ip: IpAddr, listener: &Endpoint) -> Result<Self, Full> {
        let settings = state.settings.broker();
        let mut open = state.limits.open();
        if open.all >= settings.max_connections {
            return Err(Full::All(open.all));
        }
        let of_address = open.by_ip.get(&ip).copied().unwrap_or(0);
        if of_address >= settings.max_connections_per_ip {
            return Err(Full::OfAddress(of_address));
        }
        let of_listener = open.by_listener.get(&listener.name).copied().unwrap_or(0);
        if listener.max_connections.is_some_and(|max| of_listener >= max) {
            return Err(Full::OfListener(of_listener));
        }
        let descriptors = state.topics.descriptors();
        let room = descriptors.room_for_connections();
        if open.all >= room.saturating_add(GOING) && open.going > 0 {
            return Err(Full::Going(open.all));
        }
        if open.all >= room && (open.all >= room.saturating_add(GOING) || !open.dismiss_silent()) {
            return Err(Full::Descriptors(open.all));
        }
        open.all += 1;
        open.by_ip.insert(ip, of_address + 1);
        open.by_listener.insert(listener.name.clone(), of_listener + 1);
        let (id, told) = (open.next_id, Arc::new(Notify::new()));
        open.next_id += 1;
        open.silent.insert(id, Arc::clone(&told));
        descriptors.opened_connection();
        drop(open);
        let (state, listener) = (Arc::clone(state), listener.name.clone());
        Ok(Self { state, ip, listener, id, told, has_asked: AtomicBool::new(false) })
    }

    /// Of the broker that it is a place at.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The client has asked something that only clients ask who are let in.
    pub(crate) fn asked(&self) {
        if !self.has_asked.swap(true, Ordering::Relaxed) {
            let mut open = self.state.limits.open();
            if open.silent.remove(&self.id).is_none() {
                // It goes all the same.
                open.going -= 1;
            }
        }
    }

    /// Sleeps until the place is needed for others.
    pub(crate) async fn needed(&self) {
        self.told.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
        self.state.topics.descriptors().closed_connection();
        let mut open = self.state.limits.open();
        open.all -= 1;
        if open.silent.remove(&self.id).is_none() && !self.has_asked.load(Ordering::Relaxed) {
            open.going -= 1;
        }
        less(&mut open.by_ip, &self.ip);
        less(&mut open.by_listener, &self.listener);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    #[test]
    fn places_are_counted_in_all_and_by_address_and_by_listener() {
        let properties = [("max.connections", "3"), ("max.connections.per.ip", "2")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let state = Arc::new(State::open(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap());
        let listener = Endpoint::plain("A");
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = Place::take(&state, one, &listener).unwrap();
        let _second = Place::take(&state, one, &listener).unwrap();
        assert_eq!(Place::take(&state, one, &listener).unwrap_err(), Full::OfAddress(2));
        let _third = Place::take(&state, other, &listener).unwrap();
        assert_eq!(Place::take(&state, other, &listener).unwrap_err(), Full::All(3));
        drop(first);
        let limited = Endpoint { max_connections: Some(1), ..Endpoint::plain("A") };
        assert_eq!(Place::take(&state, one, &limited).unwrap_err(), Full::OfListener(2));
        let limited = Endpoint { max_connections: Some(1), ..Endpoint::plain("B") };
        Place::take(&state, one, &limited).unwrap();
    }

    #[tokio::test]
    async fn those_go_first_that_have_never_asked_anything_and_of_them_the_oldest() {
        let state = Arc::new(State::open(BrokerConfig::default()).unwrap());
        let listener = Endpoint::plain("A");
        let take = || Place::take(&state, [127, 0, 0, 1].into(), &listener).unwrap();
        let (asked, silent, younger) = (take(), take(), take());
        asked.asked();
        assert!(state.limits.make_room());
        silent.needed().await;
        assert!(state.limits.make_room(), "one is going");
        drop(silent);
        assert!(state.limits.make_room());
        younger.needed().await;
        drop(younger);
        assert!(!state.limits.make_room(), "nobody is left who has never asked");
        drop(asked);
        assert_eq!(state.limits.open().going, 0);
        assert!(state.limits.open().silent.is_empty() && state.limits.open().by_listener.is_empty());
    }
}
