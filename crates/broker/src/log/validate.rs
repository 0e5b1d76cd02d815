//! Looking at the records of a batch before it is appended.
//!
//! Whoever wrote them, everybody who reads the partition will have to decode them: one batch that nobody can decode would
//! stop all readers. So every batch is decoded once, as Kafka does it: its codec, the number of its records, their places,
//! keys where the topic is compacted, and their times. Keys and values are passed over, and little of what is compressed is
//! in memory at a time ([`scan`](crate::log::scan)).

use std::io;

use kafka_protocol::ResponseError;

use crate::blocking::blocking;
use crate::log::batch::BatchHeader;
use crate::log::codec::MAX_EXPANDED;
use crate::log::partition::AppendRules;
use crate::log::scan::{Progress, Scan, Shape};

/// Why records were refused, as clients are told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) error: ResponseError,
    pub(crate) message: String,
    /// Which records, counted within the batch, and why.
    pub(crate) records: Vec<(i32, String)>,
}

impl Rejection {
    /// Of something that is not the fault of single records.
    fn whole(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: message.into(), records: Vec::new() }
    }
}

/// Records of a batch of which is told what is wrong with them; of more it is told how many they are.
const TOLD: usize = 1_000;
/// Bytes of records that are looked at before other work on the thread has to be thought of.
const SHORT: u64 = 4 << 20;

/// Checks the records of a whole batch; returns the newest of their times. `place` says which partition it is for.
pub(crate) fn check(
    batch: &[u8],
    header: &BatchHeader,
    rules: &AppendRules,
    now_ms: i64,
    place: impl Fn() -> String,
) -> Result<i64, Rejection> {
    if header.is_append_time() && !rules.append_time {
        let message =
            "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.";
        return Err(Rejection::whole(ResponseError::InvalidTimestamp, message));
    }
    let undecodable = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => Rejection::whole(
            ResponseError::MessageTooLarge,
            format!("The records of the batch take more than {MAX_EXPANDED} bytes when they are expanded."),
        ),
        _ => Rejection::whole(
            ResponseError::InvalidRecord,
            format!("The records of the batch cannot be decoded: {error}."),
        ),
    };
    let mut scan = Scan::open(batch, header).map_err(undecodable)?;
    let mut seen = Seen::new(header, rules, now_ms);
    let mut progress = scan.some(SHORT, |shape| seen.see(&shape)).map_err(undecodable)?;
    if progress == Progress::More {
        progress = blocking(|| scan.some(u64::MAX, |shape| seen.see(&shape))).map_err(undecodable)?;
    }
    seen.judge(progress, &place)
}

/// What has been found out about the records so far.
struct Seen {
    expected: i64,
    count: i64,
    max_timestamp: i64,
    /// A record that is not in its place, by its own words.
    displaced: Option<i64>,
    keys_needed: bool,
    /// Within which times records have to be; none has to if the time of appending counts.
    times: Option<(i64, i64)>,
    wrong: Vec<(i32, Wrong)>,
    wrong_count: usize,
}

/// What can be wrong with a record that can be decoded.
enum Wrong {
    NoKey,
    Time(i64),
}

impl Seen {
    fn new(header: &BatchHeader, rules: &AppendRules, now_ms: i64) -> Self {
        let oldest = now_ms.saturating_sub(rules.timestamp_before_max_ms);
        let newest = now_ms.saturating_add(rules.timestamp_after_max_ms);
        Self {
            expected: header.record_count.into(),
            count: 0,
            max_timestamp: -1,
            displaced: None,
            keys_needed: rules.keys_needed,
            times: (!rules.append_time).then_some((oldest, newest)),
            wrong: Vec::new(),
            wrong_count: 0,
        }
    }

    /// Takes the next record. Whether another is wanted.
    #[inline]
    fn see(&mut self, shape: &Shape) -> bool {
        let nth = self.count;
        self.count += 1;
        if nth >= self.expected {
            return false;
        }
        if shape.offset_delta != nth {
            self.displaced = Some(shape.offset_delta);
            return false;
        }
        self.max_timestamp = self.max_timestamp.max(shape.timestamp);
        if self.keys_needed && !shape.has_key {
            self.note(nth, Wrong::NoKey);
        } else if let Some((oldest, newest)) = self.times
            && !(oldest..=newest).contains(&shape.timestamp)
            && shape.timestamp != -1
        {
            self.note(nth, Wrong::Time(shape.timestamp));
        }
        true
    }

    #[cold]
    fn note(&mut self, nth: i64, wrong: Wrong) {
        self.wrong_count += 1;
        if self.wrong.len() < TOLD {
            // There are fewer records than the header can say.
            self.wrong.push((nth as i32, wrong));
        }
    }

    fn judge(self, progress: Progress, place: &impl Fn() -> String) -> Result<i64, Rejection> {
        let invalid = |message: String| Err(Rejection::whole(ResponseError::InvalidRecord, message));
        if let Some(delta) = self.displaced {
            let nth = self.count - 1;
            return invalid(format!("Record {nth} of the batch says that it is at place {delta} of it."));
        }
        match self.expected - self.count {
            0 if progress == Progress::End => {}
            ..=0 => return invalid("Incorrect declared batch size, records still remaining in file".into()),
            _ => return invalid("Incorrect declared batch size, premature EOF reached".into()),
        }
        if self.wrong.is_empty() { Ok(self.max_timestamp) } else { Err(self.reject(place)) }
    }

    /// The words of Kafka for so many errors.
    fn reject(self, place: &impl Fn() -> String) -> Rejection {
        let mut untimely = false;
        let mut records = Vec::with_capacity(self.wrong.len());
        for (n, wrong) in self.wrong {
            let message = match (wrong, self.times) {
                (Wrong::Time(timestamp), Some((oldest, newest))) => {
                    untimely = true;
                    format!(
                        "Timestamp {timestamp} of message with offset {n} is out of range. \
                         The timestamp should be within [{oldest}, {newest}]"
                    )
                }
                _ => {
                    let message = "Compacted topic cannot accept message without key in topic partition";
                    format!("{message} {}.", place())
                }
            };
            records.push((n, message));
        }
        if untimely {
            let message = "One or more records have been rejected due to invalid timestamp".to_owned();
            return Rejection { error: ResponseError::InvalidTimestamp, message, records };
        }
        let first: Vec<_> = records
            .iter()
            .take(3)
            .map(|(n, message)| format!("RecordError(batchIndex={n}, message='{message}')"))
            .collect();
        let message = format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first \
             three errors at most: [{}]",
            self.wrong_count,
            first.join(", ")
        );
        Rejection { error: ResponseError::InvalidRecord, message, records }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;
    fn check_with(rules: AppendRules, timestamp: i64, now_ms: i64) -> Result<i64, Rejection> {
        let batch = plain_batch(2, timestamp, (-1, -1, -1), false);
        let header = BatchHeader::verify(&batch).unwrap();
        check(&batch, &header, &rules, now_ms, || "t-0".to_owned())
    }

    #[test]
    fn a_compacted_topic_wants_keys() {
        let rejection =
            check_with(AppendRules { keys_needed: true, ..AppendRules::DEFAULT }, 0, 0).unwrap_err();
        assert_eq!(rejection.error, ResponseError::InvalidRecord);
        let reason = "Compacted topic cannot accept message without key in topic partition t-0.";
        assert_eq!(rejection.records, [(0, reason.to_owned()), (1, reason.to_owned())]);
        let begin = "One or more records have been rejected due to 2 record errors in total, and only showing the \
                     first three errors at most: [RecordError(batchIndex=0, message='Compacted";
        assert!(rejection.message.starts_with(begin), "{}", rejection.message);
    }

    #[test]
    fn times_have_limits_unless_that_of_appending_counts() {
        let hour = 3_600_000;
        let after = AppendRules { timestamp_after_max_ms: hour, ..AppendRules::DEFAULT };
        assert_eq!(check_with(after, hour - 1, 0), Ok(hour));
        let late = check_with(after, hour, 0).unwrap_err();
        assert_eq!(late.error, ResponseError::InvalidTimestamp);
        assert_eq!(late.records.len(), 1, "the second is a millisecond later");
        assert_eq!(check_with(AppendRules { append_time: true, ..after }, hour, 0), Ok(hour + 1));
        let before = AppendRules { timestamp_before_max_ms: 10, ..AppendRules::DEFAULT };
        assert_eq!(check_with(before, 90, 100), Ok(91));
        assert_eq!(check_with(before, 89, 100).unwrap_err().records[0].0, 0);
    }
}
