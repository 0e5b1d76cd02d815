//! Where a reader begins and ends in its partitions: at the checkpoint's positions if they fit their logs, else where the user says.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::config::FromClientConfigAndContext;

use super::Settings;
use super::context::{SourceConsumer, SourceConsumerContext};
use super::dead_letter::BadRecords;
use super::discovery::{Discovery, is_own};
use super::positions::{self, Known, Misfit, Position};
use super::reader::KafkaSourceReader;
use super::watch::TopicWatch;
use crate::error::KafkaError;
use crate::offsets::{LogRange, OffsetResetStrategy, OffsetsInitializer, log_ranges};
use crate::subscription::TopicPartition;
use crate::topic_ids::{Described, TopicId};

/// A position that is to be gone on from, if it fits the log.
pub(super) struct Claim {
    pub(super) partition: TopicPartition,
    pub(super) next: i64,
    /// Of the topic that it was read from.
    pub(super) id: Option<TopicId>,
    pub(super) strategy: OffsetResetStrategy,
}

impl<T: Send + 'static> KafkaSourceReader<T> {
    pub(super) fn begin(&mut self, restored: Option<Vec<(String, Position)>>) -> Result<(), KafkaError> {
        let source = self.source.clone();
        let Settings { properties, subscription, starting, stopping, reset, bad_records, .. } =
            &*source.settings;
        self.bad_records = BadRecords::open(bad_records, properties)?;
        let mut own = subscription.resolve(&self.consumer, &self.bootstrap, self.timeout)?;
        check_bounds(stopping.as_ref(), &own)?;
        own.retain(|partition| is_own(&self.context, partition));
        let topics = self.describe(&own.iter().map(|partition| partition.topic.clone()).collect())?;
        if topics.values().any(|described| *described == Described::NoId) {
            tracing::warn!(
                "the cluster gives topics no ids, so one that is deleted and made anew is noticed only when its log is shorter than \
                 what has been read"
            );
        }
        // A partition that a checkpoint does not know has been added since.
        let starting = if restored.is_some() { &OffsetsInitializer::Earliest } else { starting };
        let mut known = positions::known(restored.unwrap_or_default());
        known.retain(|partition, _| is_own(&self.context, partition));
        let fresh = own.iter().filter(|partition| !known.contains_key(*partition)).cloned().collect();
        let mut starts = self.look_up(starting, &fresh)?;
        let claim = |(partition, next): (&TopicPartition, &i64)| {
            let strategy = starting.reset(*reset);
            Claim { partition: partition.clone(), next: *next, id: None, strategy }
        };
        let fresh = starts.iter().filter(|_| !starting.is_found_in_log()).map(claim);
        let claims: Vec<Claim> = fresh.chain(self.claims(&known, &own)).collect();
        starts.extend(self.fit(claims, &topics)?);
        let ends = self.ends(&starts, &known)?;
        known.retain(|partition, _| !own.contains(partition));
        self.carried = known;
        self.add_partitions(starts, &ends, &topics)?;
        let now = self.context.clock.now();
        let discover = |interval| Discovery::new(subscription, &self.bootstrap, self.timeout, interval, now);
        self.discovery = source.settings.discovery.map(discover);
        self.watch = Some(TopicWatch::new(&self.bootstrap, self.timeout, now));
        source.offset_ranges.commit_with(&self.consumer);
        Ok(())
    }

    /// What is known of these partitions, as claims.
    pub(super) fn claims<'a>(
        &self,
        known: &'a BTreeMap<TopicPartition, Known>,
        partitions: &'a BTreeSet<TopicPartition>,
    ) -> impl Iterator<Item = Claim> + use<'a, T> {
        let strategy = self.source.settings.reset;
        let known = known.iter().filter(|(partition, _)| partitions.contains(*partition));
        known.map(move |(partition, known)| Claim {
            partition: partition.clone(),
            next: known.next,
            id: known.id.clone(),
            strategy,
        })
    }

    /// Where to go on: at the position if it fits its log, else where the user says.
    pub(super) fn fit(
        &self,
        claims: Vec<Claim>,
        topics: &BTreeMap<String, Described>,
    ) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let partitions = claims.iter().map(|claim| claim.partition.clone()).collect();
        let ranges = log_ranges(&self.consumer, &self.bootstrap, &partitions, self.timeout)?;
        let mut fitted = BTreeMap::new();
        for Claim { partition, next, id, strategy } in claims {
            let Some(mut range) = ranges.get(&partition).copied() else { continue };
            let present = topics.get(&partition.topic).and_then(Described::id);
            let mut misfit = positions::misfit(next, id.as_ref(), present, range);
            if misfit == Some(Misfit::Beyond) {
                // Whoever has read what is not committed is further than those who read only what is.
                range = self.whole_range(&partition)?;
                misfit = positions::misfit(next, id.as_ref(), present, range);
            }
            let next = match misfit {
                None => next,
                Some(misfit) => misfit.resolve(&partition, next, range, strategy)?,
            };
            fitted.insert(partition, next);
        }
        Ok(fitted)
    }

    /// What there is of a log, whoever may see it.
    fn whole_range(&self, partition: &TopicPartition) -> Result<LogRange, KafkaError> {
        let mut config = self.source.settings.properties.consumer(self.group())?;
        config.set("isolation.level", "read_uncommitted").set("statistics.interval.ms", "0");
        let callbacks = SourceConsumerContext { lag: Default::default(), metrics: Default::default() };
        let consumer = SourceConsumer::from_config_and_context(&config, callbacks)
            .map_err(|error| self.error("create a consumer", error))?;
        let partitions = BTreeSet::from([partition.clone()]);
        let ranges = log_ranges(&consumer, &self.bootstrap, &partitions, self.timeout)?;
        ranges.get(partition).copied().ok_or_else(|| KafkaError::UnknownTopic {
            topic: partition.topic.clone(),
            bootstrap: self.bootstrap.to_string(),
        })
    }

    /// Where to end, and whether the log has come that far.
    pub(super) fn ends(
        &self,
        starts: &BTreeMap<TopicPartition, i64>,
        known: &BTreeMap<TopicPartition, Known>,
    ) -> Result<BTreeMap<TopicPartition, (i64, bool)>, KafkaError> {
        let Some(stopping) = &self.source.settings.stopping else { return Ok(BTreeMap::new()) };
        let (mut ends, mut unknown) = (BTreeMap::new(), BTreeSet::new());
        for (partition, start) in starts {
            // An end that has been reached is looked up anew: somebody has started the job once more, for what has come
            // since. So is that of a position that did not fit.
            let remembered = known.get(partition).filter(|known| known.next == *start);
            match remembered.and_then(|known| known.end.filter(|end| start < end)) {
                Some(end) => drop(ends.insert(partition.clone(), end)),
                None => drop(unknown.insert(partition.clone())),
            }
        }
        ends.extend(self.look_up(stopping, &unknown)?);
        let all = ends.keys().cloned().collect();
        let there = self.look_up(&OffsetsInitializer::Latest, &all)?;
        let is_there =
            |partition: &TopicPartition, end| there.get(partition).is_some_and(|there| *there >= end);
        Ok(ends
            .into_iter()
            .map(|(partition, end)| {
                let is_there = is_there(&partition, end);
                (partition, (end, is_there))
            })
            .collect())
    }
}

/// A bound by partition must name every partition: the others would end where nobody said.
fn check_bounds(
    stopping: Option<&OffsetsInitializer>,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<(), KafkaError> {
    let Some(OffsetsInitializer::Offsets(bounds)) = stopping else { return Ok(()) };
    match partitions.iter().find(|partition| !bounds.contains_key(*partition)) {
        None => Ok(()),
        Some(partition) => Err(KafkaError::Property {
            property: "set_bounded".to_owned(),
            reason: format!(
                "it leaves out {partition}, which is read; say where to end in every partition, or read only some with set_partitions"
            ),
        }),
    }
}
