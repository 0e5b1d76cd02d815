//! Accepts connections, up to a limit, until the broker is told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::server::connection;
use crate::state::State;

/// Serves clients and meets deadlines until `stop` is dropped or sent.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener, stop: oneshot::Receiver<()>) {
    tokio::select! {
        _ = stop => {}
        () = accept(Arc::clone(&state), listener) => {}
        () = meet_deadlines(state) => {}
    }
}

async fn accept(state: Arc<State>, listener: TcpListener) {
    let limit = state.settings.broker().max_connections;
    let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
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
            tracing::warn!(%peer, limit, "too many connections; closing a new one");
            continue;
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            if let Err(error) = connection::serve(&state, stream, peer).await {
                tracing::debug!(%peer, %error, "the connection was closed");
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
