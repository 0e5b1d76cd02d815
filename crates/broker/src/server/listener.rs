//! Accepts connections, up to a limit, until the broker is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};

use crate::metrics::http;
use crate::server::connection::{self, Closed, Way};
use crate::server::endpoint::Endpoint;
use crate::server::limits::Place;
use crate::state::State;

/// How long requests may take that are being carried out when the broker stops.
const LAST_WORDS: Duration = Duration::from_secs(5);

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

async fn accept(state: Arc<State>, listener: TcpListener, endpoint: Arc<Endpoint>) {
    let mut connections = JoinSet::new();
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
            Err(error) => {
                // Out of file descriptors, most likely. The connections there are will go on, and some will close.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        match Place::take(&state, peer.ip().to_canonical()) {
            Ok(place) => drop(connections.spawn(serve_one(Arc::clone(&endpoint), stream, peer, place))),
            Err(full) => {
                state.metrics.connections_refused.add(1);
                tracing::warn!(listener = endpoint.name, %peer, %full, "closing a new connection");
            }
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

async fn serve_one(endpoint: Arc<Endpoint>, stream: TcpStream, peer: SocketAddr, place: Place) {
    let _connected = place.state().metrics.connections.one_more();
    if let Err(error) = secure(&endpoint, stream, peer, place.state()).await {
        tracing::debug!(listener = endpoint.name, %peer, %error, "the connection was closed");
    }
}

async fn secure(
    listener: &Endpoint,
    stream: TcpStream,
    peer: SocketAddr,
    state: &State,
) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let way = Way { listener, local: stream.local_addr()?, peer };
    let Some(tls) = &listener.tls else { return connection::serve(state, way, stream).await };
    let encrypted = tokio::time::timeout(HANDSHAKE, tls.accept(stream));
    let Some(encrypted) = state.stopping.unless(encrypted).await else { return Ok(()) };
    let stream = encrypted.map_err(|_| Closed::Handshake)??;
    connection::serve(state, way, stream).await
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
