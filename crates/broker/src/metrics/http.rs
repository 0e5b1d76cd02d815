//! Just enough HTTP for Prometheus: `GET /metrics` and `GET /healthz`, one request a connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::metrics::exposition;
use crate::state::State;

/// Bytes of a request; longer ones are refused.
const MAX_REQUEST: usize = 8 * 1024;
/// Connections at a time. For a further one, the oldest goes, which is the one that says nothing or does not listen.
const MAX_CONNECTIONS: usize = 32;
/// For a request and its answer together, so that a silent client does not keep its place.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers whoever asks, for ever.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener) {
    // In the order in which they came.
    let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(MAX_CONNECTIONS);
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let state = Arc::clone(&state);
        let answering = tokio::spawn(async move {
            // A client that is gone or too slow has only itself to blame.
            let _ = tokio::time::timeout(PATIENCE, answer(&state, &mut stream)).await;
        });
        open.push_back(answering.abort_handle());
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(state: &State, stream: &mut S) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(1024);
    let head = loop {
        if request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            break Some(String::from_utf8_lossy(&request).into_owned());
        }
        if request.len() >= MAX_REQUEST || stream.read_buf(&mut request).await? == 0 {
            break None;
        }
    };
    let (status, body) = respond(state, head.as_deref());
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(state: &State, head: Option<&str>) -> (&'static str, String) {
    let line = head.and_then(|head| head.lines().next()).unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|version| version.starts_with("HTTP/1.")) || words.next().is_some() {
        return ("400 Bad Request", "this is no HTTP request\n".to_owned());
    }
    if method != Some("GET") {
        return ("405 Method Not Allowed", "only GET is answered\n".to_owned());
    }
    match target.map(|target| target.split('?').next().unwrap_or_default()) {
        Some("/metrics") => ("200 OK", exposition::page(state)),
        Some("/healthz") => ("200 OK", "ok\n".to_owned()),
        _ => ("404 Not Found", "there are /metrics and /healthz\n".to_owned()),
    }
}
