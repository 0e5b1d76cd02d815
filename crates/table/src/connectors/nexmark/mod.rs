//! `nexmark`: the events of an auction house, made up: people, auctions and bids, as in the benchmark of that name.
//!
//! The columns are `event_type INT` (0, 1, 2) and the rows `person`, `auction` and `bid`, one of which is there. An event follows from its
//! number alone, so two runs give the same rows, at any parallelism. Its proportions, ids and distributions are the benchmark's.
//!
//! | option | unless it is set |
//! |---|---|
//! | `events.num` | 0: it never ends |
//! | `first-event.rate` | 10000 events for each second of event time |
//! | `next-event.rate` | the same: rates do not change on the way |
//! | `max-emit-speed` | `true`; with `false` no event comes before its time |
//! | `person.proportion`, `auction.proportion`, `bid.proportion` | 1, 3, 46 |
//! | `person.avg-size`, `auction.avg-size`, `bid.avg-size` | 200, 500, 100 bytes |
//! | `bid.hot-ratio.auctions`, `bid.hot-ratio.bidders`, `auction.hot-ratio.sellers` | 2, 4, 4 |
//! | `base-time` | 1436918400000: the time of the first event, in milliseconds |

mod columns;
mod events;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;

use self::columns::columns;
use super::{Connector, Shape, TableScan};
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::needs::Need;
use crate::settings::Settings;

/// So many events are made at once, at most.
const CHUNK: u64 = 4096;

/// Events are dealt out over so many splits, whatever the parallelism.
const SPLITS: u64 = 8;

pub(super) struct Nexmark;

/// What is asked for.
#[derive(Clone, Debug)]
struct Config {
    events: Option<u64>,
    rate: u64,
    limited: bool,
    base_time: i64,
    /// Of people, auctions, bids.
    proportions: [i64; 3],
    sizes: [usize; 3],
    hot_auctions: u64,
    hot_bidders: u64,
    hot_sellers: u64,
}

const OPTIONS: [&str; 18] = [
    "events.num",
    "first-event.rate",
    "next-event.rate",
    "max-emit-speed",
    "rate.limited",
    "rate.shape",
    "rate.period",
    "person.proportion",
    "auction.proportion",
    "bid.proportion",
    "person.avg-size",
    "auction.avg-size",
    "bid.avg-size",
    "bid.hot-ratio.auctions",
    "bid.hot-ratio.bidders",
    "auction.hot-ratio.sellers",
    "base-time",
    "scan.watermark.idle-timeout",
];

impl Config {
    fn of(table: &Table) -> Result<Self, SqlError> {
        super::only(table, &OPTIONS, &[])?;
        let number = |key: &str, otherwise: u64| match table.option(key) {
            None => Ok(otherwise),
            Some(text) => {
                let digits = text.trim().trim_end_matches(|letter: char| letter.is_alphabetic()).trim();
                digits.parse::<u64>().map_err(|_| SqlError::new(format!("`{key}` is a number, not `{text}`")))
            }
        };
        let flag = |key: &str| table.option(key).map(|value| value.eq_ignore_ascii_case("true"));
        let rate = number("first-event.rate", 10_000)?.max(1);
        if number("next-event.rate", rate)? != rate {
            return Err(SqlError::new(
                "`next-event.rate` is `first-event.rate`: rates do not change on the way",
            ));
        }
        let proportions = [
            number("person.proportion", 1)? as i64,
            number("auction.proportion", 3)? as i64,
            number("bid.proportion", 46)? as i64,
        ];
        if proportions[0] == 0 || proportions[1] == 0 {
            return Err(SqlError::new(
                "there are some people and some auctions at least: their proportion is not 0",
            ));
        }
        Ok(Self {
            events: Some(number("events.num", 0)?).filter(|events| *events > 0),
            rate,
            limited: flag("rate.limited") == Some(true) || flag("max-emit-speed") == Some(false),
            base_time: number("base-time", 1_436_918_400_000)? as i64,
            proportions,
            sizes: [
                number("person.avg-size", 200)? as usize,
                number("auction.avg-size", 500)? as usize,
                number("bid.avg-size", 100)? as usize,
            ],
            hot_auctions: number("bid.hot-ratio.auctions", 2)?.max(1),
            hot_bidders: number("bid.hot-ratio.bidders", 4)?.max(1),
            hot_sellers: number("auction.hot-ratio.sellers", 4)?.max(1),
        })
    }
}

#[derive(Clone)]
struct Generator {
    config: Arc<Config>,
    schema: SchemaRef,
    /// What anybody reads of the columns.
    needs: Arc<[Need]>,
    identity: String,
}

impl Connector for Nexmark {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        let config = Config::of(table)?;
        let schema = table.schema_of(&table.read_columns());
        let made = columns(&config, &[0], &[]).map_err(|error| SqlError::new(error.to_string()))?;
        let names = ["event_type", "person", "auction", "bid"];
        let own: Vec<(&str, &DataType)> =
            schema.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
        let fits = own.len() == 4
            && own.iter().zip(names).zip(&made).all(|(((own, of), name), made)| {
                *own == name && arrow::compute::can_cast_types(made.data_type(), of)
            });
        if !fits {
            return Err(SqlError::new(
                "the columns of a `nexmark` table are event_type INT, and the rows person, auction and bid of the benchmark",
            ));
        }
        let identity = table.path.to_string();
        let needs = Vec::new().into();
        Ok(Box::new(Generator { config: Arc::new(config), schema, needs, identity }))
    }
}

impl TableScan for Generator {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        let generator = Self { needs: shape.needs.clone(), ..self.clone() };
        Ok(shape.source(graph, name, generator))
    }
}

impl Source for Generator {
    type Item = Chunk;
    type Reader = Reader;

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn reader(&self, context: &SourceContext) -> Result<Reader, BoxError> {
        let mine = (0..SPLITS).filter(|split| context.owns(*split as usize)).map(|split| (split, 0, None));
        let (generator, mine) = (self.clone(), mine.collect());
        Ok(Reader { generator, mine, context: context.clone(), begun: None })
    }
}

/// Makes the events of some splits: of split s the events s, s + 8, s + 16, ….
struct Reader {
    generator: Generator,
    /// The number of each split, how many of its events have been made, and how it is announced.
    mine: Vec<(u64, u64, Option<SplitId>)>,
    context: SourceContext,
    /// When it began, and the time of the event at which it did.
    begun: Option<(i64, i64)>,
}

impl SourceReader for Reader {
    type Item = Chunk;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        for (split, position) in restored.unwrap_or_default() {
            if let Some(mine) = self.mine.iter_mut().find(|(number, ..)| number.to_string() == split) {
                mine.1 = position;
            }
        }
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<Chunk>) -> Result<SourceStatus, BoxError> {
        for (number, _, id) in &mut self.mine {
            id.get_or_insert_with(|| output.add_split(&number.to_string()));
        }
        let config = Arc::clone(&self.generator.config);
        // The one that lags behind, so that their times stay together.
        let left = |(number, next, _): &(u64, u64, Option<SplitId>)| {
            let all = config.events.map_or(u64::MAX, |all| all.saturating_sub(*number).div_ceil(SPLITS));
            all.saturating_sub(*next)
        };
        for split in self.mine.iter().filter(|split| left(split) == 0) {
            split.2.into_iter().for_each(|id| output.finish_split(id));
        }
        let open = self.mine.iter_mut().filter(|split| left(split) > 0);
        let Some(split) = open.min_by_key(|(_, next, _)| *next) else { return Ok(SourceStatus::End) };
        let mut count = CHUNK.min(left(split));
        let (number, next, Some(id)) = split else { return Ok(SourceStatus::Ready) };
        if config.limited {
            let (now, first) = (self.context.clock.now(), config.time(*next * SPLITS + *number));
            let (begun, time) = *self.begun.get_or_insert((now, first));
            let due = |count: u64| config.time((*next + count) * SPLITS + *number) - time <= now - begun;
            count = (0..count).take_while(|count| due(*count)).count() as u64;
            if count == 0 {
                return Ok(SourceStatus::Idle { until: Some(now + 10) });
            }
        }
        let events: Vec<u64> = (*next..*next + count).map(|event| event * SPLITS + *number).collect();
        let made = columns(&config, &events, &self.generator.needs)?;
        let fitting = made.iter().zip(self.generator.schema.fields());
        let fitting = fitting.map(|(column, field)| cast(column, field.data_type()));
        let rows =
            RecordBatch::try_new(self.generator.schema.clone(), fitting.collect::<Result<Vec<_>, _>>()?)?;
        output.push(Chunk::additions(rows), NO_TIMESTAMP);
        output.origin(*id, *next, *next + count - 1);
        *next += count;
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.mine.iter().map(|(number, next, _)| (number.to_string(), *next)).collect()
    }
}
