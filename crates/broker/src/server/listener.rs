//! Accepts connections, up to a limit, until the broker is told to stop.

use std::fmt::Display;
use std::fs::File;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::descriptors::is_scarcity;
use crate::metrics::http;
use crate::server::connection::{self, Closed, Way};
use crate::server::endpoint::Endpoint;
use crate::server::limits::{Full, Place};
use crate::state::State;

/// How long requests may take that are being carried out when the broker stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long to say nothing more of connections that are closed as soon as they come.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// How long a client may take to agree on how to encrypt.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves clients and meets deadlines until the broker stops, and then until clients have their answers.
pub(crate) async fn serve(
    state: Arc<State>,
    listeners: Vec<(TcpListener, Endpoint)>,
    metrics: Option<TcpListener>,
) {
    let mut accepting = JoinSet::new();
    for (listener, endpoint) in listeners {
        accepting.spawn(accept(Arc::clone(&state), listener, Arc::new(endpoint)));
    }
    if let Some(listener) = metrics {
        tokio::spawn(http::serve(Arc::clone(&state), listener));
    }
    tokio::select! {
        () = async { while accepting.join_next().await.is_some() {} } => {}
        () = meet_deadlines(state) => {}
    }
}

/// A connection that has been told to go is gone within this time, if there is any time to spare.
const GOES_WITHIN: Duration = Duration::from_secs(2);

async fn accept(state: Arc<State>, listener: TcpListener, endpoint: Arc<Endpoint>) {
    let mut connections = JoinSet::new();
    let mut refusals = Refusals::default();
    let mut spare = spare();
    let mut scarce_since = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            () = state.stopping.told() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_scarcity(&error) => {
                // Others in this process have taken what was counted on. One that has never asked anything makes room, and
                // is given a moment for it. If none does, who waits is not left hanging, but closed.
                let since = *scarce_since.get_or_insert_with(Instant::now);
                if state.limits.make_room() && since.elapsed() < GOES_WITHIN {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    continue;
                }
                let error = state.topics.descriptors().explain(error);
                refusals.note(&state, &endpoint, &error);
                drop(spare.take());
                drop(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await);
                spare = self::spare();
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        scarce_since = None;
        match take_place(&state, peer, &endpoint).await {
            Ok(place) => drop(connections.spawn(serve_one(Arc::clone(&endpoint), stream, peer, place))),
            Err(full) => refusals.note(&state, &endpoint, &full),
        }
    }
    drop(listener);
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(LAST_WORDS, all_ended).await.is_err() {
        tracing::warn!(listener = endpoint.name, "stopping before all clients have their answers");
    }
}

/// Takes a place. Whoever has been told to make room may need a moment for it, of a process that is busy.
async fn take_place(state: &Arc<State>, peer: SocketAddr, endpoint: &Endpoint) -> Result<Place, Full> {
    let since = Instant::now();
    loop {
        match Place::take(state, peer.ip().to_canonical(), endpoint) {
            Err(Full::Going(_)) if since.elapsed() < GOES_WITHIN => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            other => return other,
        }
    }
}

/// A descriptor to be given up when there are no others.
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Says that connections are closed as soon as they come, and not once for each of them.
#[derive(Debug, Default)]
struct Refusals {
    said: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    fn note(&mut self, state: &State, endpoint: &Endpoint, why: &dyn Display) {
        state.metrics.connections_refused.add(1);
        self.unsaid += 1;
        if self.said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return;
        }
        tracing::warn!(listener = endpoint.name, connections = self.unsaid, %why, "closing new connections");
        (self.said, self.unsaid) = (Some(Instant::now()), 0);
    }
}

async fn serve_one(endpoint: Arc<Endpoint>, stream: TcpStream, peer: SocketAddr, place: Place) {
    let _connected = place.state().metrics.connections.one_more();
    let served = tokio::select! {
        served = secure(&endpoint, stream, peer, &place) => served,
        () = place.needed() => {
            tracing::debug!(listener = endpoint.name, %peer, "closing a connection that has never asked anything");
            return;
        }
    };
    if let Err(error) = served {
        tracing::debug!(listener = endpoint.name, %peer, %error, "the connection was closed");
    }
}

async fn secure(
    listener: &Endpoint,
    stream: TcpStream,
    peer: SocketAddr,
    place: &Place,
) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let way = Way { listener, local: stream.local_addr()?, peer, since: Instant::now() };
    let Some(tls) = &listener.tls else { return connection::serve(place, way, stream).await };
    let encrypted = tokio::time::timeout(HANDSHAKE, tls.accept(stream));
    let Some(encrypted) = place.state().stopping.unless(encrypted).await else { return Ok(()) };
    let stream = encrypted.map_err(|_| Closed::Handshake)??;
    connection::serve(place, way, stream).await
}

/// A connection that ended in a panic is a bug of ours; it has harmed no other.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a request could not be carried out; its connection was closed");
    }
}

async fn meet_deadlines(state: Arc<State>) {
    loop {
        state.alarm.ring(&state.clock).await;
        state.tick();
    }
}
