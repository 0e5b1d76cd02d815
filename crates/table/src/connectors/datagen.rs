//! `datagen`: rows made up.
//!
//! | option | |
//! |---|---|
//! | `rows-per-second` | 10000 unless it is set |
//! | `number-of-rows` | after so many it ends; without it, never |
//! | `fields.F.kind` | `random` (unless it is set) or `sequence` |
//! | `fields.F.min`, `.max` | of random numbers |
//! | `fields.F.start`, `.end` | of a sequence, which ends the table when it ends |
//! | `fields.F.length` | of random strings and bytes: 100 unless it is set |
//! | `fields.F.max-past` | so far back random times may lie, in milliseconds or as `5 s` |
//! | `fields.F.null-rate` | the share of NULLs |

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::hash::key_hash;
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::{Connector, Shape, TableScan};
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::needs::{Need, nothing};
use crate::settings::Settings;

/// So many rows are made at once, at most.
const CHUNK: u64 = 4096;

/// Rows are dealt out over so many splits, whatever the parallelism.
const SPLITS: u64 = 8;

pub(super) struct Datagen;

/// How the values of a column are made.
#[derive(Clone, Debug)]
enum Field {
    Sequence {
        start: i64,
        end: i64,
    },
    Int {
        min: i64,
        max: i64,
    },
    Float {
        min: f64,
        max: f64,
    },
    Text {
        length: usize,
    },
    Bool,
    /// Milliseconds before now, at most.
    Past {
        most: i64,
    },
}

#[derive(Clone)]
struct Generator {
    fields: Arc<[(Field, f64)]>,
    schema: SchemaRef,
    /// What anybody reads of the columns.
    needs: Arc<[Need]>,
    rows: Option<u64>,
    rate: u64,
    identity: String,
}

impl Connector for Datagen {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        super::only(
            table,
            &["rows-per-second", "number-of-rows", "scan.watermark.idle-timeout"],
            &["fields."],
        )?;
        let number = |key: &str| match table.option(key) {
            None => Ok(None),
            Some(text) => text
                .parse::<u64>()
                .map(Some)
                .map_err(|_| SqlError::new(format!("`{key}` is a whole number, not `{text}`"))),
        };
        let columns = table.read_columns();
        let schema = table.schema_of(&columns);
        let mut rows = number("number-of-rows")?;
        let mut fields = Vec::new();
        for field in schema.fields() {
            let made = Field::of(table, field.name(), field.data_type())?;
            if let Field::Sequence { start, end } = made {
                let length = (end - start + 1).max(0) as u64;
                rows = Some(rows.map_or(length, |rows| rows.min(length)));
            }
            let rate = table.option(&format!("fields.{}.null-rate", field.name()));
            fields.push((made, rate.and_then(|rate| rate.parse().ok()).unwrap_or(0.0)));
        }
        let rate = number("rows-per-second")?.unwrap_or(10_000).max(1);
        let identity = table.path.to_string();
        let needs = Vec::new().into();
        Ok(Box::new(Generator { fields: fields.into(), schema, needs, rows, rate, identity }))
    }
}

impl Field {
    fn of(table: &Table, name: &str, data_type: &DataType) -> Result<Self, SqlError> {
        let option = |what: &str| table.option(&format!("fields.{name}.{what}"));
        fn parse<T: std::str::FromStr>(text: Option<&str>, otherwise: T) -> Result<T, SqlError> {
            match text {
                None => Ok(otherwise),
                Some(text) => text.parse().map_err(|_| SqlError::new(format!("`{text}` is no number"))),
            }
        }
        if option("kind") == Some("sequence") {
            let (Some(start), Some(end)) = (option("start"), option("end")) else {
                return Err(SqlError::new(format!(
                    "a sequence wants `fields.{name}.start` and `fields.{name}.end`"
                )));
            };
            return Ok(Self::Sequence { start: parse(Some(start), 0)?, end: parse(Some(end), 0)? });
        }
        Ok(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8 => Self::Int { min: parse(option("min"), -128)?, max: parse(option("max"), 127)? },
            DataType::Int16 => {
                let (min, max) = (i64::from(i16::MIN), i64::from(i16::MAX));
                Self::Int { min: parse(option("min"), min)?, max: parse(option("max"), max)? }
            }
            DataType::Int32 => {
                let (min, max) = (i64::from(i32::MIN), i64::from(i32::MAX));
                Self::Int { min: parse(option("min"), min)?, max: parse(option("max"), max)? }
            }
            DataType::Int64 => {
                Self::Int { min: parse(option("min"), i64::MIN)?, max: parse(option("max"), i64::MAX)? }
            }
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
                let most = match data_type {
                    DataType::Decimal128(precision, scale) => {
                        10_f64.powi(i32::from(*precision) - i32::from(*scale)) - 1.0
                    }
                    _ => 1e9,
                };
                Self::Float { min: parse(option("min"), -most)?, max: parse(option("max"), most)? }
            }
            DataType::Utf8 | DataType::Binary => Self::Text { length: parse(option("length"), 100)? },
            DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) => {
                let most = option("max-past").map_or(Some(0), crate::options::millis);
                let most = most
                    .ok_or_else(|| SqlError::new(format!("`fields.{name}.max-past` is a length of time")))?;
                Self::Past { most }
            }
            other => {
                return Err(SqlError::new(format!(
                    "`datagen` makes no values of the type {other} (column `{name}`)"
                )));
            }
        })
    }

    /// The values of rows `rows`.
    fn values(&self, rows: &[u64], salt: u64, now: i64, data_type: &DataType) -> Result<ArrayRef, BoxError> {
        let random = |row: u64| key_hash(&(row, salt));
        let share = |row: u64| (random(row) >> 11) as f64 / (1_u64 << 53) as f64;
        let rows = rows.iter().copied();
        let values: ArrayRef = match *self {
            Self::Sequence { start, .. } => {
                Arc::new(Int64Array::from_iter_values(rows.map(|row| start + row as i64)))
            }
            Self::Int { min, max } => {
                let span = (i128::from(max) - i128::from(min) + 1).max(1);
                // Only of all whole numbers there are more than a divisor can be.
                let values: Vec<i64> = match u64::try_from(span) {
                    Ok(span) => rows.map(|row| min.wrapping_add((random(row) % span) as i64)).collect(),
                    Err(_) => rows.map(|row| min.wrapping_add(random(row) as i64)).collect(),
                };
                Arc::new(Int64Array::from(values))
            }
            Self::Float { min, max } => {
                Arc::new(rows.map(|row| min + share(row) * (max - min)).collect::<Float64Array>())
            }
            Self::Bool => Arc::new(rows.map(|row| Some(random(row) & 1 == 1)).collect::<BooleanArray>()),
            Self::Text { length } => {
                Arc::new(StringArray::from_iter_values(rows.map(|row| text(random(row), length))))
            }
            Self::Past { most } => {
                let value = |row| now - if most > 0 { (random(row) % most as u64) as i64 } else { 0 };
                let millis = rows.map(value).collect::<Int64Array>();
                cast(&millis, &DataType::Timestamp(TimeUnit::Millisecond, None))?
            }
        };
        Ok(cast(&values, data_type)?)
    }
}

/// So many hexadecimal digits.
fn text(mut seed: u64, length: usize) -> String {
    let mut text = String::with_capacity(length + 16);
    while text.len() < length {
        text.push_str(&format!("{seed:016x}"));
        seed = key_hash(&seed);
    }
    text.truncate(length);
    text
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
        Ok(Reader { generator, mine, turn: 0, context: context.clone(), begun: None, made: 0 })
    }
}

/// Makes the rows of some splits: of split s the rows s, s + 8, s + 16, ….
struct Reader {
    generator: Generator,
    /// The number of each split, how many of its rows have been made, and how it is announced.
    mine: Vec<(u64, u64, Option<SplitId>)>,
    turn: usize,
    context: SourceContext,
    /// Since when rows have been made, and how many: so the rate is kept.
    begun: Option<i64>,
    made: u64,
}

impl Reader {
    /// How many rows are due by now.
    fn due(&mut self, now: i64) -> u64 {
        let begun = *self.begun.get_or_insert(now);
        let rate = self.generator.rate * self.mine.len() as u64;
        // A tenth of a second is made at once, so that the first rows do not wait.
        let wanted = ((now - begun).max(0) as u64 + 100) * rate / (1000 * SPLITS);
        wanted.max(1).saturating_sub(self.made)
    }
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
            if id.is_none() {
                *id = Some(output.add_split(&number.to_string()));
            }
        }
        let now = self.context.clock.now();
        let due = self.due(now).min(CHUNK);
        if self.mine.is_empty() {
            return Ok(SourceStatus::End);
        }
        if due == 0 {
            return Ok(SourceStatus::Idle { until: Some(now + 10) });
        }
        let Generator { fields, schema, needs, rows: all, .. } = &self.generator;
        let mut ended = 0;
        for _ in 0..self.mine.len() {
            self.turn = (self.turn + 1) % self.mine.len();
            let (number, next, id) = &mut self.mine[self.turn];
            let Some(id) = *id else { continue };
            let left = all
                .map_or(u64::MAX, |all| all.saturating_sub(*number).div_ceil(SPLITS).saturating_sub(*next));
            if left == 0 {
                output.finish_split(id);
                ended += 1;
                continue;
            }
            let rows: Vec<u64> = (*next..*next + due.min(left)).map(|row| row * SPLITS + *number).collect();
            let mut columns = Vec::with_capacity(fields.len());
            for (index, ((field, null_rate), of)) in fields.iter().zip(schema.fields()).enumerate() {
                let salt = index as u64;
                if needs.get(index).is_some_and(Need::is_no) {
                    columns.push(nothing(of.data_type(), rows.len()));
                    continue;
                }
                let mut values = field.values(&rows, salt, now, of.data_type())?;
                if *null_rate > 0.0 {
                    let limit = (null_rate * u64::MAX as f64) as u64;
                    let null = rows.iter().map(|row| Some(key_hash(&(*row, salt, "null")) < limit));
                    values = nullif(&values, &null.collect::<BooleanArray>())?;
                }
                columns.push(values);
            }
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
            let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
            output.push(Chunk::additions(batch), NO_TIMESTAMP);
            output.origin(id, rows[0], rows[rows.len() - 1]);
            *next += rows.len() as u64;
            self.made += rows.len() as u64;
            return Ok(SourceStatus::Ready);
        }
        Ok(if ended == self.mine.len() { SourceStatus::End } else { SourceStatus::Ready })
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.mine.iter().map(|(number, next, _)| (number.to_string(), *next)).collect()
    }
}
