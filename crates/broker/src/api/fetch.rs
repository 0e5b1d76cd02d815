//! Fetch: batches of some partitions, waiting for them if there are none.
//!
//! A fetch stands for itself and names all that it wants, or it belongs to a session that remembers what the client
//! wants and was told; see `fetch_sessions`.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};

use crate::api::Call;
use crate::api::fetch_answer::{Answer, Answered};
use crate::api::leader_epoch::{self, EPOCH};
use crate::fetch_sessions::{Changes, FINAL_EPOCH, INITIAL_EPOCH, Place, Session, Turn, Wanted};
use crate::log::partition::{Isolation, Partition, storage_error};
use crate::log::segment::Extent;
use crate::log::waiters::Waiter;
use crate::server::output::FEW;
use crate::topics::Topic;

pub(super) async fn handle(call: &Call<'_>, request: FetchRequest) -> Answer {
    let limits = Limits::of(call, &request);
    let whose = match begin(call, request) {
        Ok(whose) => whose,
        Err(error) => return failed(error, 0),
    };
    let mut found = read(call, &whose, &limits);
    if !found.is_enough(&limits) && !limits.patience.is_zero() {
        let waited = tokio::time::timeout(limits.patience, async {
            while !found.is_enough(&limits) {
                let waiter = Arc::new(Waiter::default());
                whose.each(|wanted| {
                    if let Ok((_, partition)) = find(call, &wanted.place) {
                        partition.hang(&waiter);
                    }
                });
                // Something may have come before the waiter hung.
                found = read(call, &whose, &limits);
                if !found.is_enough(&limits) {
                    let woken = call.state.stopping.unless(waiter.woken()).await;
                    found = read(call, &whose, &limits);
                    if woken.is_none() {
                        break;
                    }
                }
            }
        });
        // Time is up: what there is has to do.
        let _ = waited.await;
    }
    end(call, whose, found)
}

/// What a fetch may take, of bytes and of time.
#[derive(Debug)]
struct Limits {
    patience: Duration,
    min_bytes: usize,
    max_bytes: usize,
    isolation: Isolation,
}

impl Limits {
    fn of(call: &Call<'_>, request: &FetchRequest) -> Self {
        let most = call.state.settings.broker().fetch_max_bytes;
        Self {
            patience: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
            max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(most),
            isolation: Isolation::from_wire(request.isolation_level),
        }
    }
}

/// Who remembers what is wanted.
#[derive(Debug)]
enum Whose {
    /// Nobody; a session may be opened when it is answered.
    Fetch {
        wanted: Vec<Wanted>,
        opens: bool,
    },
    Session(Turn),
}

impl Whose {
    fn each(&self, mut look: impl FnMut(&Wanted)) {
        match self {
            Self::Fetch { wanted, .. } => wanted.iter().for_each(look),
            Self::Session(turn) => turn.session().wanted().for_each(&mut look),
        }
    }
}

fn begin(call: &Call<'_>, request: FetchRequest) -> Result<Whose, ResponseError> {
    let sessions = &call.state.fetch_sessions;
    let (id, epoch) = (request.session_id, request.session_epoch);
    if matches!(epoch, INITIAL_EPOCH | FINAL_EPOCH) {
        if id != 0 {
            sessions.close(id);
        }
        let wanted = Wanted::all(request.topics).collect();
        return Ok(Whose::Fetch { wanted, opens: epoch == INITIAL_EPOCH });
    }
    let changes =
        Changes { wanted: request.topics, forgotten: &request.forgotten_topics_data, by_id: by_id(call) };
    sessions.resume((id, epoch), changes, call.state.clock.now_ms()).map(Whose::Session)
}

/// The answer, and what a session has to remember of it.
fn end(call: &Call<'_>, whose: Whose, found: Found) -> Answer {
    let mut partitions = found.partitions;
    for (_, answered) in &mut partitions {
        read_few(answered);
    }
    let id = match whose {
        Whose::Fetch { opens: false, .. } => 0,
        Whose::Fetch { wanted, opens: true } => {
            let mut session = Session::new(by_id(call));
            session.follow(wanted.into_iter());
            for (place, answered) in &partitions {
                session.is_news(place, &answered.data, answered.records.len() > 0);
            }
            let slots = call.state.settings.broker().fetch_sessions;
            call.state.fetch_sessions.open(session, slots, call.state.clock.now_ms())
        }
        Whose::Session(turn) => {
            let mut session = turn.session();
            if !session.is_at(turn.epoch) {
                return failed(ResponseError::InvalidFetchSessionEpoch, turn.id);
            }
            partitions.retain(|(place, answered)| {
                session.is_news(place, &answered.data, answered.records.len() > 0)
            });
            turn.id
        }
    };
    let response = FetchResponse::default().with_session_id(id);
    Answer { response, topics: by_topic(call, partitions) }
}

fn failed(error: ResponseError, session_id: i32) -> Answer {
    let response = FetchResponse::default().with_error_code(error.code()).with_session_id(session_id);
    Answer { response, topics: Vec::new() }
}

/// Reads records that are not worth being sent by themselves.
fn read_few(answered: &mut Answered) {
    if !matches!(answered.records, Extent::File { len, .. } if len < FEW) {
        return;
    }
    match std::mem::take(&mut answered.records).load() {
        Ok(records) => answered.records = Extent::Memory(vec![records]),
        Err(error) => {
            let code = storage_error(error).code();
            answered.data = empty(answered.data.partition_index).with_error_code(code);
        }
    }
}

/// Puts neighbours of the same topic together.
fn by_topic(
    call: &Call<'_>,
    partitions: Vec<(Place, Answered)>,
) -> Vec<(FetchableTopicResponse, Vec<Answered>)> {
    let mut topics: Vec<(FetchableTopicResponse, Vec<Answered>)> = Vec::new();
    for (place, answered) in partitions {
        let bytes = answered.records.len();
        if bytes > 0
            && let Ok((topic, _)) = find(call, &place)
        {
            topic.traffic.fetched(bytes);
        }
        match topics.last_mut() {
            Some((last, partitions)) if last.topic == place.topic && last.topic_id == place.topic_id => {
                partitions.push(answered);
            }
            _ => {
                let topic = FetchableTopicResponse::default();
                let topic = topic.with_topic(place.topic).with_topic_id(place.topic_id);
                topics.push((topic, vec![answered]));
            }
        }
    }
    topics
}

/// An answer in the making.
#[derive(Debug, Default)]
struct Found {
    partitions: Vec<(Place, Answered)>,
    bytes: usize,
    /// Something is to be told that has nothing to do with bytes.
    urgent: bool,
}

impl Found {
    fn is_enough(&self, limits: &Limits) -> bool {
        // Whoever wants nothing has nothing to wait for.
        self.urgent || self.bytes >= limits.min_bytes || self.partitions.is_empty()
    }
}

/// Whether topics are named by their ids.
fn by_id(call: &Call<'_>) -> bool {
    call.version >= 13
}

fn find(call: &Call<'_>, place: &Place) -> Result<(Arc<Topic>, Arc<Partition>), ResponseError> {
    let topics = &call.state.topics;
    let topic = if by_id(call) {
        topics.get_by_id(place.topic_id).ok_or(ResponseError::UnknownTopicId)?
    } else {
        topics.get(&place.topic).ok_or(ResponseError::UnknownTopicOrPartition)?
    };
    let partition = topic.partition(place.partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
    Ok((topic, partition))
}

fn read(call: &Call<'_>, whose: &Whose, limits: &Limits) -> Found {
    let mut found = Found::default();
    whose.each(|wanted| {
        let left = limits.max_bytes.saturating_sub(found.bytes);
        // A batch that is longer than all limits must get through nevertheless, or the client would be stuck.
        let answered = read_partition(call, wanted, left, found.bytes == 0, limits.isolation);
        let answered = answered.unwrap_or_else(|error| {
            found.urgent = true;
            Answered {
                data: empty(wanted.place.partition).with_error_code(error.code()),
                records: Extent::default(),
            }
        });
        found.urgent |= answered.data.diverging_epoch.end_offset >= 0;
        found.bytes += answered.records.len();
        found.partitions.push((wanted.place.clone(), answered));
    });
    found
}

fn read_partition(
    call: &Call<'_>,
    wanted: &Wanted,
    max_bytes: usize,
    at_least_one: bool,
    isolation: Isolation,
) -> Result<Answered, ResponseError> {
    let (_, partition) = find(call, &wanted.place)?;
    leader_epoch::check(wanted.current_leader_epoch)?;
    let data = empty(wanted.place.partition);
    match wanted.last_fetched_epoch {
        leader_epoch::NONE => {}
        EPOCH => {
            let bounds = partition.bounds();
            if bounds.end < wanted.offset {
                // The client has read what we do not have. It is told where it has to go back to.
                let end = EpochEndOffset::default().with_epoch(EPOCH).with_end_offset(bounds.end);
                let data = data
                    .with_diverging_epoch(end)
                    .with_high_watermark(bounds.end)
                    .with_last_stable_offset(bounds.last_stable)
                    .with_log_start_offset(bounds.start);
                return Ok(Answered { data, records: Extent::default() });
            }
        }
        // Nobody knows where that epoch ends.
        _ => return Err(ResponseError::OffsetOutOfRange),
    }
    let max_bytes = max_bytes.min(wanted.max_bytes);
    let read = partition.find(wanted.offset, max_bytes, at_least_one, isolation)?;
    let aborted = read.aborted.iter().map(|aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer_id))
            .with_first_offset(aborted.first_offset)
    });
    let data = data
        .with_high_watermark(read.bounds.end)
        .with_last_stable_offset(read.bounds.last_stable)
        .with_log_start_offset(read.bounds.start)
        .with_aborted_transactions((isolation == Isolation::ReadCommitted).then(|| aborted.collect()));
    Ok(Answered { data, records: read.records })
}

fn empty(partition: i32) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(bytes::Bytes::new()))
}
