//! One client: requests are read one after the other and answered in that order.
//!
//! Answers are collected for as long as complete requests are at hand, and then written together. A client that
//! sends what is no request, or announces one that is too long, is disconnected. The next request is carried out
//! only when the answers before it are written or few, so a client that does not read its answers has no more of
//! them in memory than that; and the rest of its requests stay where they are, in the socket.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::api::{self, Call, Frame, Refused};
use crate::log::segment::Extent;
use crate::security::sasl::Session;
use crate::server::authentication::{Proof, prove, prove_raw};
use crate::server::endpoint::Endpoint;
use crate::server::frames::{self, WrongLength};
use crate::server::limits::Place;
use crate::server::long_request::LongRequest;
use crate::server::memory::Share;
use crate::server::output::{Output, Piece};
use crate::server::patience::{Impatient, Patience};
use crate::server::stream::Stream;
use crate::state::State;

/// Bytes of answers that are collected at most.
const COLLECTED: usize = 256 * 1024;
/// Bytes of a buffer that is kept for the next answer.
const KEPT: usize = 1 << 20;
/// Bytes of a request that every connection may read without asking for its share of the memory.
const SMALL: usize = 64 * 1024;

/// The same while it is not known who the client is.
const SMALL_PROOF: usize = 16 * 1024;
/// Bytes of a message by which a client proves who it is, as many as Kafka takes.
const LONGEST_PROOF: usize = 512 * 1024;

/// Why a connection was closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Length(#[from] WrongLength),
    #[error("the TLS handshake was not finished in time")]
    Handshake,
    #[error(transparent)]
    Impatient(#[from] Impatient),
}

/// From where and by which way a client has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) listener: &'a Endpoint,
    /// Where it has reached us.
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    /// When it came.
    pub(crate) since: Instant,
}

/// Answers requests until the client goes or misbehaves, or the broker stops.
pub(crate) async fn serve(place: &Place, way: Way<'_>, stream: impl Stream) -> Result<(), Closed> {
    let state = place.state();
    let settings = state.settings.broker();
    let mut connection = Connection {
        state,
        place,
        way,
        stream,
        max_request: settings.max_request_bytes,
        input: BytesMut::with_capacity(16 * 1024),
        long: None,
        output: Output::default(),
        patience: Patience::new(settings.connections_max_idle_ms),
        session: way.listener.sasl.as_ref().map(Session::new),
    };
    drop(settings);
    if connection.session.is_some() {
        connection.patience.proof_wanted(way.since);
    }
    let served = connection.serve().await;
    // Courtesy of TLS; the client may be gone.
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.stream.shutdown()).await;
    served
}

#[derive(Debug)]
struct Connection<'a, S> {
    state: &'a State,
    place: &'a Place,
    way: Way<'a>,
    stream: S,
    max_request: usize,
    input: BytesMut,
    /// A long request that has begun; then the input is empty.
    long: Option<LongRequest>,
    output: Output,
    patience: Patience,
    /// None where nobody has to prove who it is.
    session: Option<Session<'a>>,
}

impl<'a, S: Stream> Connection<'a, S> {
    async fn serve(&mut self) -> Result<(), Closed> {
        let mut stopped = pin!(self.state.stopping.told());
        // Memory for the request that is being read, if it is a long one.
        let mut share: Option<Share<'a>> = None;
        loop {
            let answered = self.answer_all(&mut share).await;
            // Also if the connection is about to be closed: what was done before is acknowledged.
            self.flush().await?;
            if let Err(Closed::Refused(Refused::Silenced)) = answered {
                return self.swallow().await;
            }
            answered?;
            if self.state.stopping.is_told() {
                return Ok(());
            }
            let len = match &self.long {
                Some(long) => Some(long.len()),
                None => frames::announced(&self.input, self.longest())?,
            };
            let small = if self.is_known() { SMALL } else { SMALL_PROOF };
            if self.long.is_none()
                && let Some(len) = len.filter(|len| *len > small)
            {
                let limits = &self.state.limits;
                let memory = if self.is_known() { &limits.requests } else { &limits.proofs };
                share = Some(memory.share(self.way.peer.ip().to_canonical()));
                self.long = Some(LongRequest::begin(&limits.buffers, len, &mut self.input));
            }
            if let Some(long) = &self.long {
                self.patience.incomplete(long.len(), long.received());
                if let Some(share) = &mut share {
                    let since = Instant::now();
                    let waited = tokio::select! {
                        biased;
                        waited = share.grow(long.ahead().saturating_sub(small)) => waited,
                        () = &mut stopped => return Ok(()),
                    };
                    if waited {
                        self.patience.not_the_clients(since);
                        self.patience.incomplete(long.len(), long.received());
                    }
                }
            } else if !self.input.is_empty() {
                self.patience.incomplete(len.unwrap_or(0), self.input.len());
            }
            let Self { stream, input, long, .. } = self;
            let reading = async {
                match long {
                    Some(long) => stream.read_buf(&mut long.room()).await,
                    None => {
                        frames::make_room(input, len);
                        stream.read_buf(input).await
                    }
                }
            };
            let in_the_way = async {
                match &share {
                    Some(share) => share.lost().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                read = reading => {
                    let count = read?;
                    if count == 0 {
                        return Ok(());
                    }
                    self.state.metrics.bytes_in.add(count as u64);
                    self.patience.moved();
                }
                () = in_the_way => return Err(Impatient::InTheWay.into()),
                over = self.patience.over() => return Err(over.into()),
                () = &mut stopped => return Ok(()),
            }
            if let (Some(long), Some(share)) = (&self.long, &mut share) {
                share.received(long.received(), long.is_complete());
            }
        }
    }

    /// Answers the complete requests of the input.
    async fn answer_all(&mut self, share: &mut Option<Share<'a>>) -> Result<(), Closed> {
        loop {
            let Some(bytes) = self.next_request()? else { return Ok(()) };
            self.patience.complete();
            let frame = match self.session {
                None => Frame::parse(bytes)?,
                Some(_) => match self.prove(bytes).await? {
                    Some(frame) => frame,
                    None => continue,
                },
            };
            if frame.may_wait() || self.state.faults.any() || self.output.len() > COLLECTED {
                self.flush().await?;
            }
            self.place.asked();
            let call = self.call(&frame);
            let waits = frame.may_wait();
            let answered = api::answer(&call, frame, &mut self.output);
            if waits {
                // A fetch comes back by itself. Who waits for the other members of its group is not answered, and
                // asks again when there is a broker.
                self.state.stopping.unless(answered).await.unwrap_or(Ok(()))?;
            } else {
                answered.await?;
            }
            *share = None;
        }
    }

    fn next_request(&mut self) -> Result<Option<Bytes>, WrongLength> {
        match self.long.take_if(|long| long.is_complete()) {
            Some(long) => Ok(Some(long.finish())),
            None if self.long.is_some() => Ok(None),
            None => {
                let longest = self.longest();
                frames::take(&mut self.input, longest)
            }
        }
    }

    fn call(&self, frame: &Frame) -> Call<'a> {
        Call {
            state: self.state,
            key: frame.key,
            version: frame.version,
            client_id: frame.client_id.clone(),
            peer: self.way.peer.ip(),
            local: self.way.local,
            listener: self.way.listener,
        }
    }

    /// Bytes of the longest request that is read. Who is not known has no need of long ones.
    fn longest(&self) -> usize {
        if self.is_known() { self.max_request } else { self.max_request.min(LONGEST_PROOF) }
    }

    /// Whether the client has proved who it is, or need not do so.
    fn is_known(&self) -> bool {
        self.session.as_ref().is_none_or(Session::is_open)
    }

    /// Lets a client prove who it is. Returns requests that have nothing to do with that, once it has.
    async fn prove(&mut self, bytes: Bytes) -> Result<Option<Frame>, Closed> {
        let Some(mut session) = self.session.take() else { return Ok(Some(Frame::parse(bytes)?)) };
        let proof = if session.is_raw() {
            prove_raw(self.state, &mut session, &bytes, &mut self.output)
        } else {
            let frame = Frame::parse(bytes)?;
            let renews = frame.key == ApiKey::SaslHandshake && session.may_renew();
            if session.is_open() && !renews {
                if session.is_over(|| self.state.clock.now_ms()) {
                    return Err(Refused::Expired.into());
                }
                self.session = Some(session);
                return Ok(Some(frame));
            }
            prove(&self.call(&frame), &mut session, frame, &mut self.output).await?
        };
        if proof == Proof::Failed {
            let delay = self.state.settings.broker().failed_authentication_delay;
            self.state.stopping.unless(tokio::time::sleep(delay)).await;
            return Err(Refused::Unauthenticated.into());
        }
        if session.is_open() {
            let (listener, peer) = (&self.way.listener.name, self.way.peer);
            tracing::debug!(listener, %peer, user = session.user(), "a client has proved who it is");
            self.patience.proved();
        }
        self.session = Some(session);
        Ok(None)
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.patience.moved();
        let Self { stream, output, patience, .. } = self;
        for piece in output.pieces() {
            match piece {
                Piece::Bytes(bytes) => write_all(stream, patience, bytes).await?,
                Piece::Records(Extent::Memory(batches)) => {
                    for batch in batches {
                        write_all(stream, patience, batch).await?;
                    }
                }
                Piece::Records(Extent::File { file, position, len }) => {
                    let mut sent = 0;
                    while sent < *len {
                        let some = stream.send_file(file, *position + sent as u64, *len - sent);
                        sent += patience.unless_over(some).await??;
                    }
                }
            }
        }
        // TLS may have kept some.
        self.patience.unless_over(self.stream.flush()).await??;
        self.state.metrics.bytes_out.add(self.output.len() as u64);
        self.output.clear(KEPT);
        Ok(())
    }

    /// Reads on, does nothing and says nothing, until the client gives up.
    async fn swallow(&mut self) -> Result<(), Closed> {
        loop {
            self.input.clear();
            tokio::select! {
                read = self.stream.read_buf(&mut self.input) => if read? == 0 {
                    return Ok(());
                },
                () = self.state.stopping.told() => return Ok(()),
            }
        }
    }
}

/// The client is as slow as it likes, so long as it is not idle.
async fn write_all(
    stream: &mut impl Stream,
    patience: &mut Patience,
    mut bytes: &[u8],
) -> Result<(), Closed> {
    while !bytes.is_empty() {
        match patience.unless_over(stream.write(bytes)).await?? {
            0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            some => bytes = &bytes[some..],
        }
    }
    Ok(())
}
