//! The shards of a stream, as the service lists them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::client::of_stream_to_read;
use super::{KinesisClient, KinesisError};

/// A shard as the service lists it.
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) parents: Vec<String>,
    pub(super) is_closed: bool,
    pub(super) hash_keys: RangeInclusive<u128>,
}

/// All shards of a stream.
pub(super) async fn list(client: &KinesisClient, stream: &str) -> Result<Vec<Listed>, KinesisError> {
    let (mut listed, mut request) = (Vec::new(), of_stream_to_read(stream));
    loop {
        let answer = client.request("ListShards", &request).await?;
        for shard in answer["Shards"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            let Some(id) = text(&shard["ShardId"]) else { continue };
            let parents = [&shard["ParentShardId"], &shard["AdjacentParentShardId"]]
                .into_iter()
                .filter_map(text)
                .collect();
            let is_closed = shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string();
            let hash_key = |name: &str, otherwise| {
                shard["HashKeyRange"][name].as_str().map_or(Ok(otherwise), str::parse)
            };
            let from = hash_key("StartingHashKey", 0);
            let hash_keys = match (from, hash_key("EndingHashKey", u128::MAX)) {
                (Ok(from), Ok(to)) => from..=to,
                _ => 0..=u128::MAX,
            };
            listed.push(Listed { id, parents, is_closed, hash_keys });
        }
        match answer["NextToken"].as_str() {
            Some(token) => request = json!({ "NextToken": token }),
            None => return Ok(listed),
        }
    }
}

/// The oldest first parent of a shard that is still known: all that has come out of it by splits is read by one subtask.
pub(super) fn eldest<'a>(parents: &BTreeMap<&'a str, &'a [String]>, shard: &'a str) -> &'a str {
    let mut eldest = shard;
    // A shard is younger than its parents; so this ends, unless the service is wrong.
    for _ in 0..10_000 {
        match parents
            .get(eldest)
            .and_then(|of| of.first())
            .filter(|parent| parents.contains_key(parent.as_str()))
        {
            Some(parent) => eldest = parent,
            None => break,
        }
    }
    eldest
}
