//! The answer to a fetch, with records that are not read for it.
//!
//! All but the records is encoded as everywhere, with lists and records left empty. They come last in what they are in,
//! but for the tagged fields, so their lengths are put right afterwards.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchResponse, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::api::{Refused, unanswerable};
use crate::log::segment::Extent;
use crate::server::output::Output;

/// The version from which on lengths are compact, and structures end with tagged fields.
const FLEXIBLE: i16 = 12;

/// What is said of a partition.
#[derive(Debug)]
pub(super) struct Answered {
    /// Without records, but not without a place for them.
    pub(super) data: PartitionData,
    pub(super) records: Extent,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Without topics.
    pub(super) response: FetchResponse,
    /// Without partitions, which come beside them.
    pub(super) topics: Vec<(FetchableTopicResponse, Vec<Answered>)>,
}

impl Answer {
    /// The error codes of all there is.
    pub(super) fn codes(&self) -> impl Iterator<Item = i16> {
        let partitions = self.topics.iter().flat_map(|(_, partitions)| partitions);
        partitions.map(|answered| answered.data.error_code).chain([self.response.error_code])
    }

    /// Appends it to `out`, or nothing if it cannot be encoded.
    pub(super) fn write(self, id: i32, version: i16, out: &mut Output) -> Result<(), Refused> {
        let mark = out.mark();
        let written = self.encode(id, version, out);
        match written {
            Ok(()) => out.put_length(mark),
            Err(_) => out.cut(mark),
        }
        written
    }

    fn encode(self, id: i32, version: i16, out: &mut Output) -> Result<(), Refused> {
        out.bytes().put_i32(0);
        let header = ResponseHeader::default().with_correlation_id(id);
        header.encode(out.bytes(), FetchResponse::header_version(version)).map_err(unanswerable)?;
        begin(&self.response, self.topics.len(), version, out.bytes())?;
        for (topic, partitions) in self.topics {
            begin(&topic, partitions.len(), version, out.bytes())?;
            for Answered { data, records } in partitions {
                if records.len() == 0 {
                    data.encode(out.bytes(), version).map_err(unanswerable)?;
                    continue;
                }
                begin(&data, records.len(), version, out.bytes())?;
                out.records(records);
                end(version, out.bytes());
            }
            end(version, out.bytes());
        }
        end(version, out.bytes());
        Ok(())
    }
}

/// Encodes something up to its last field, which is empty, and puts `len` there.
fn begin(what: &impl Encodable, len: usize, version: i16, out: &mut BytesMut) -> Result<(), Refused> {
    what.encode(out, version).map_err(unanswerable)?;
    // An empty list or no bytes; in the flexible versions there are no tagged fields behind.
    let empty: &[u8] = if version < FLEXIBLE { &[0; 4] } else { &[1, 0] };
    if !out.ends_with(empty) {
        return Err(unanswerable("there are tagged fields in it"));
    }
    out.truncate(out.len() - empty.len());
    if version < FLEXIBLE {
        out.put_i32(len as i32);
        return Ok(());
    }
    let mut rest = len + 1;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
    Ok(())
}

/// Encodes what comes behind the last field.
fn end(version: i16, out: &mut BytesMut) {
    if version >= FLEXIBLE {
        out.put_u8(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use kafka_protocol::messages::fetch_response::{AbortedTransaction, EpochEndOffset};
    use kafka_protocol::messages::{ProducerId, TopicName};

    use super::*;
    use crate::protocol::text;
    use crate::server::output::Piece;

    fn partition(n: i32, version: i16) -> PartitionData {
        let aborted = AbortedTransaction::default().with_producer_id(ProducerId(7)).with_first_offset(1);
        let diverging =
            EpochEndOffset::default().with_end_offset(if n == 2 && version >= 12 { 3 } else { -1 });
        PartitionData::default()
            .with_partition_index(n)
            .with_high_watermark(9)
            .with_aborted_transactions((n == 0).then(|| vec![aborted]))
            .with_diverging_epoch(diverging)
            .with_records(Some(Bytes::new()))
    }

    fn topic(name: &str, version: i16) -> FetchableTopicResponse {
        let topic = FetchableTopicResponse::default();
        if version >= 13 {
            topic.with_topic_id(uuid::Uuid::from_u128(5))
        } else {
            topic.with_topic(TopicName(text(name)))
        }
    }

    fn read(output: &Output) -> Vec<u8> {
        let piece = |piece| match piece {
            Piece::Bytes(bytes) => bytes.to_vec(),
            Piece::Records(Extent::Memory(batches)) => batches.concat(),
            Piece::Records(Extent::File { file, position, len }) => {
                crate::log::file::read_at(file, *position, *len).unwrap()
            }
        };
        output.pieces().flat_map(piece).collect()
    }

    #[test]
    fn the_bytes_are_those_of_an_answer_that_has_its_records_in_it() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[5; 70_000]).unwrap();
        let file = Arc::new(file);
        for version in 4..=18 {
            let records = |n| match n {
                0 => Extent::File { file: Arc::clone(&file), position: 10, len: 65_000 },
                1 => Extent::Memory(vec![Bytes::from_static(&[6; 40]), Bytes::from_static(&[7; 9])]),
                3 => Extent::Memory(vec![Bytes::from(vec![8; 50_000])]),
                _ => Extent::Memory(Vec::new()),
            };
            let answered = |n| Answered { data: partition(n, version), records: records(n) };
            let names = ["one", "two"];
            let topics = names.map(|name| (topic(name, version), (0..4).map(answered).collect()));
            let answer = Answer { topics: topics.into(), ..Answer::default() };
            let mut output = Output::default();
            output.bytes().put_slice(b"before");
            answer.write(77, version, &mut output).unwrap();

            let full = |n| partition(n, version).with_records(Some(records(n).load().unwrap()));
            let topics = names.map(|name| topic(name, version).with_partitions((0..4).map(full).collect()));
            let mut expected = Output::default();
            expected.bytes().put_slice(b"before");
            let response = FetchResponse::default().with_responses(topics.into());
            crate::api::encode(77, &mut expected, version, &response).unwrap();
            assert!(read(&output) == read(&expected), "version {version}");
            assert_eq!(output.len(), expected.len());
        }
    }
}
