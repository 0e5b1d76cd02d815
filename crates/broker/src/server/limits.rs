//! How many connections there may be, and how much memory their requests may take together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::server::long_request::Buffers;
use crate::settings::broker::BrokerSettings;
use crate::state::State;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Limits {
    open: Mutex<Open>,
    /// Bytes of requests that may still be read.
    requests: Semaphore,
    pub(super) buffers: Buffers,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// Why a connection is closed as soon as it is there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Full {
    #[error("there are {0} connections, as many as max.connections allows")]
    All(usize),
    #[error("there are {0} connections of this address, as many as max.connections.per.ip allows")]
    OfAddress(usize),
}

impl Limits {
    pub(crate) fn new(settings: &BrokerSettings) -> Self {
        // A request of the greatest length must fit, or its client would wait for ever.
        let bytes = match usize::try_from(settings.queued_max_request_bytes) {
            Ok(bytes @ 1..) => bytes.max(settings.max_request_bytes),
            _ => Semaphore::MAX_PERMITS,
        };
        let requests = Semaphore::new(bytes.min(Semaphore::MAX_PERMITS));
        Self { open: Mutex::default(), requests, buffers: Buffers::default() }
    }

    /// Waits until there is memory for a request of that length. It is given back when the share is dropped.
    pub(crate) async fn share(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        // Nobody closes the semaphore, and the length of a request has 31 bits.
        self.requests.acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX)).await.ok()
    }
}

/// One connection's place among those that are allowed, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    state: Arc<State>,
    ip: IpAddr,
}

impl Place {
    /// Takes a place if there is one for that address.
    pub(crate) fn take(state: &Arc<State>, ip: IpAddr) -> Result<Self, Full> {
        let settings = state.settings.broker();
        let mut open = state.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= settings.max_connections {
            return Err(Full::All(open.all));
        }
        let of_address = open.by_ip.get(&ip).copied().unwrap_or(0);
        if of_address >= settings.max_connections_per_ip {
            return Err(Full::OfAddress(of_address));
        }
        open.all += 1;
        open.by_ip.insert(ip, of_address + 1);
        Ok(Self { state: Arc::clone(state), ip })
    }

    /// Of the broker that it is a place at.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.state.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(count) = open.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    #[test]
    fn places_are_counted_in_all_and_by_address() {
        let properties = [("max.connections", "3"), ("max.connections.per.ip", "2")];
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let state = Arc::new(State::open(BrokerConfig { properties, ..BrokerConfig::default() }).unwrap());
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = Place::take(&state, one).unwrap();
        let _second = Place::take(&state, one).unwrap();
        assert_eq!(Place::take(&state, one).unwrap_err(), Full::OfAddress(2));
        let _third = Place::take(&state, other).unwrap();
        assert_eq!(Place::take(&state, other).unwrap_err(), Full::All(3));
        drop(first);
        Place::take(&state, one).unwrap();
    }
}
