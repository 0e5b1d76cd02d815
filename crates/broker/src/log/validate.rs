//! Looking at the records of a batch before it is appended, where the topic's settings ask for that.
//!
//! Mostly the header answers. Only a compacted topic, and one with a limit to how old records may be, needs every
//! record looked at.

use kafka_protocol::ResponseError;

use crate::log::batch::BatchHeader;
use crate::log::partition::AppendRules;
use crate::log::records::{Record, Records};

/// Why records were refused, as clients are told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) error: ResponseError,
    pub(crate) message: String,
    /// Which records, counted within the batch, and why.
    pub(crate) records: Vec<(i32, String)>,
}

/// Checks the records of a whole batch. `place` says which partition it is for.
pub(crate) fn check(
    batch: &[u8],
    header: &BatchHeader,
    rules: &AppendRules,
    now_ms: i64,
    place: impl Fn() -> String,
) -> Result<(), Rejection> {
    let append_time = rules.append_time;
    if header.is_append_time() && !append_time {
        let message =
            "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.";
        let error = ResponseError::InvalidTimestamp;
        return Err(Rejection { error, message: message.to_owned(), records: Vec::new() });
    }
    let oldest = now_ms.saturating_sub(rules.timestamp_before_max_ms);
    let newest = now_ms.saturating_add(rules.timestamp_after_max_ms);
    // With the time of appending, that of the producer is not kept.
    let late = !append_time && header.max_timestamp > newest;
    let maybe_old = !append_time && rules.timestamp_before_max_ms != i64::MAX;
    if !rules.keys_needed && !late && !maybe_old {
        return Ok(());
    }
    let unreadable = || Rejection {
        error: ResponseError::InvalidRecord,
        message: "The records of the batch cannot be decoded.".to_owned(),
        records: Vec::new(),
    };
    let records = Records::open(batch, header).map_err(|_| unreadable())?;
    let records = records.all().ok_or_else(unreadable)?;
    let wrong = |record: &Record<'_>| {
        if rules.keys_needed && record.key.is_none() {
            let message = "Compacted topic cannot accept message without key in topic partition";
            return Some((ResponseError::InvalidRecord, format!("{message} {}.", place())));
        }
        let timed = !append_time && record.timestamp != -1;
        (timed && !(oldest..=newest).contains(&record.timestamp)).then(|| {
            let (timestamp, offset) = (record.timestamp, record.offset);
            let message = format!(
                "Timestamp {timestamp} of message with offset {offset} is out of range. \
                 The timestamp should be within [{oldest}, {newest}]"
            );
            (ResponseError::InvalidTimestamp, message)
        })
    };
    let wrong: Vec<_> = (0..).zip(&records).filter_map(|(n, record)| Some((n, wrong(record)?))).collect();
    reject(wrong)
}

/// The words of Kafka for so many errors.
fn reject(wrong: Vec<(i32, (ResponseError, String))>) -> Result<(), Rejection> {
    if wrong.is_empty() {
        return Ok(());
    }
    let untimely = wrong.iter().any(|(_, (error, _))| *error == ResponseError::InvalidTimestamp);
    let records: Vec<_> = wrong.into_iter().map(|(n, (_, message))| (n, message)).collect();
    if untimely {
        let message = "One or more records have been rejected due to invalid timestamp".to_owned();
        return Err(Rejection { error: ResponseError::InvalidTimestamp, message, records });
    }
    let first: Vec<_> = records
        .iter()
        .take(3)
        .map(|(n, message)| format!("RecordError(batchIndex={n}, message='{message}')"))
        .collect();
    let message = format!(
        "One or more records have been rejected due to {} record errors in total, and only showing the first \
         three errors at most: [{}]",
        records.len(),
        first.join(", ")
    );
    Err(Rejection { error: ResponseError::InvalidRecord, message, records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;
    fn check_with(rules: AppendRules, timestamp: i64, now_ms: i64) -> Result<(), Rejection> {
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
        assert_eq!(check_with(after, hour - 1, 0), Ok(()));
        let late = check_with(after, hour, 0).unwrap_err();
        assert_eq!(late.error, ResponseError::InvalidTimestamp);
        assert_eq!(late.records.len(), 1, "the second is a millisecond later");
        assert_eq!(check_with(AppendRules { append_time: true, ..after }, hour, 0), Ok(()));
        let before = AppendRules { timestamp_before_max_ms: 10, ..AppendRules::DEFAULT };
        assert_eq!(check_with(before, 90, 100), Ok(()));
        assert_eq!(check_with(before, 89, 100).unwrap_err().records[0].0, 0);
    }
}
