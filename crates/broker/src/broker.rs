//! Starting and stopping a broker.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::config::BrokerConfig;
use crate::error::BrokerError;
use crate::faults::Faults;
use crate::local::LocalClient;
use crate::log::compaction::cleaner::CleanerThread;
use crate::log::upkeep::UpkeepThread;
use crate::server::endpoint::{Bound, listeners};
use crate::server::listener;
use crate::state::State;

/// Threads that serve clients.
const WORKERS: usize = 2;

/// A listener as its clients see it.
#[derive(Debug)]
struct Reached {
    name: String,
    address: SocketAddr,
    bootstrap: String,
}

impl Reached {
    fn new(bound: &Bound) -> Self {
        Self { name: bound.endpoint.name.clone(), address: bound.address, bootstrap: bound.bootstrap() }
    }
}

/// A running broker. It serves from threads of its own until it is dropped.
///
/// ```
/// use thalweg_broker::{Broker, BrokerConfig};
///
/// let broker = Broker::start(BrokerConfig::default())?;
/// broker.create_topic("lines", 3)?;
/// assert!(broker.bootstrap().starts_with("127.0.0.1:"));
/// # Ok::<(), thalweg_broker::BrokerError>(())
/// ```
pub struct Broker {
    state: Arc<State>,
    listeners: Vec<Reached>,
    metrics: Option<SocketAddr>,
    thread: Option<JoinHandle<()>>,
    _cleaner: CleanerThread,
    /// Ends after the others: it writes down what they left.
    _upkeep: UpkeepThread,
}

impl Broker {
    /// Opens the data, finishes what a crash has left undone, and listens.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, the data folder cannot be read or is in use, or a setting is out of range.
    pub fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        let bound = listeners(&config)?.iter().map(Bound::new).collect::<Result<Vec<_>, _>>()?;
        let listeners = bound.iter().map(Reached::new).collect();
        let metrics = config.metrics_listen.as_deref().map(metrics_listener).transpose()?;
        let state = Arc::new(State::open(config)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("thalweg-broker")
            .enable_all()
            .build()
            .map_err(BrokerError::Threads)?;
        let upkeep = UpkeepThread::start(Arc::clone(&state)).map_err(BrokerError::Threads)?;
        let cleaner = CleanerThread::start(Arc::clone(&state)).map_err(BrokerError::Threads)?;
        let (metrics, metrics_address) = metrics.unzip();
        let (bound, metrics) = {
            let _context = runtime.enter();
            let metrics = metrics.map(tokio::net::TcpListener::from_std).transpose();
            let listen =
                |bound: Bound| Ok((tokio::net::TcpListener::from_std(bound.socket)?, bound.endpoint));
            let bound: std::io::Result<Vec<_>> = bound.into_iter().map(listen).collect();
            (bound.map_err(BrokerError::Threads)?, metrics.map_err(BrokerError::Threads)?)
        };
        let serving = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("thalweg-broker".to_owned())
            // The runtime ends with this thread, and every connection with the runtime.
            .spawn(move || runtime.block_on(listener::serve(serving, bound, metrics)))
            .map_err(BrokerError::Threads)?;
        Ok(Self {
            state,
            listeners,
            metrics: metrics_address,
            thread: Some(thread),
            _cleaner: cleaner,
            _upkeep: upkeep,
        })
    }

    /// The address that is listened on: the first listener's, if there are several.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0].address
    }

    /// The address of one listener.
    pub fn address_of(&self, listener: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|reached| reached.name == listener).map(|reached| reached.address)
    }

    /// What clients take as `bootstrap.servers`: the first listener's, if there are several.
    pub fn bootstrap(&self) -> String {
        self.listeners[0].bootstrap.clone()
    }

    /// Where Prometheus finds `/metrics`, with [`BrokerConfig::metrics_listen`].
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Creates a topic. It is there when this returns.
    ///
    /// # Errors
    ///
    /// If the name is taken or illegal, the count is not 1 to 10000, or the topic cannot be stored.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerError> {
        let created = self.state.create_topic(name, partitions, BTreeMap::new());
        created.map(drop).map_err(|(_, reason)| BrokerError::Topic { name: name.to_owned(), reason })
    }

    /// Deletes a topic. Whoever makes one of the same name makes another topic, with another id.
    ///
    /// # Errors
    ///
    /// If there is none of this name, or it cannot be removed.
    pub fn delete_topic(&self, name: &str) -> Result<(), BrokerError> {
        let refused = |reason| BrokerError::Topic { name: name.to_owned(), reason };
        let topic =
            self.state.topics.get(name).ok_or_else(|| refused("there is no such topic".to_owned()))?;
        self.state.topics.delete(&topic).map_err(|(_, reason)| refused(reason))
    }

    /// A client in this process, which needs no socket.
    pub fn client(&self) -> LocalClient {
        LocalClient::new(&self.state)
    }

    /// What tests can do to this broker.
    pub fn faults(&self) -> Faults<'_> {
        Faults::new(&self.state)
    }

    /// Takes no more connections and requests, answers those requests that are there, and waits until all threads
    /// have ended: a few seconds at most. Dropping the broker does the same.
    pub fn stop(self) {}
}

fn metrics_listener(address: &str) -> Result<(TcpListener, SocketAddr), BrokerError> {
    let failed = |source| BrokerError::Listen { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Without what it keeps, which may be a lot.
impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("listeners", &self.listeners)
            .field("config", &self.state.config)
            .finish_non_exhaustive()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.state.stopping.tell();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say but a panic, which has been printed.
            let _ = thread.join();
        }
    }
}
