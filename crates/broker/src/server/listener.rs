//! Accepts connections, up to a limit, until the broker is told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::server::connection;
use crate::server::endpoint::Endpoint;
use crate::state::State;

/// Serves clients and meets deadlines until `stop` is dropped or sent.
pub(crate) async fn serve(
    state: Arc<State>,
    listeners: Vec<(TcpListener, Endpoint)>,
    stop: oneshot::Receiver<()>,
) {
    let limit = state.settings.broker().max_connections;
    let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
    let mut accepting = JoinSet::new();
    for (listener, endpoint) in listeners {
        accepting.spawn(accept(Arc::clone(&state), listener, Arc::new(endpoint), Arc::clone(&places)));
    }
    tokio::select! {
        _ = stop => {}
        () = meet_deadlines(state) => {}
    }
}

async fn accept(state: Arc<State>, listener: TcpListener, endpoint: Arc<Endpoint>, places: Arc<Semaphore>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely. The connections there are will go on, and some will close.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections; closing a new one");
            continue;
        };
        let (state, endpoint) = (Arc::clone(&state), Arc::clone(&endpoint));
        tokio::spawn(async move {
            if let Err(error) = connection::serve(&state, &endpoint, stream, peer).await {
                tracing::debug!(listener = endpoint.name, %peer, %error, "the connection was closed");
            }
            drop(place);
        });
    }
}

async fn meet_deadlines(state: Arc<State>) {
    loop {
        state.alarm.ring(&state.clock).await;
        state.tick();
    }
}
