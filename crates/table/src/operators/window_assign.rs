//! `TUMBLE`, `HOP` and `CUMULATE`: puts each row into its windows.
//!
//! - **Rows** come out once for each window they are in, with `window_start`, `window_end` and `window_time` behind their columns. A row
//!   without a time is in no window.
//! - **Watermarks, barriers, the end**: pass.
//! - **State**: none.
//!
//! Windows of `TIMESTAMP_LTZ` are those of the session's time zone: they begin at its midnight, not at that of UTC.

use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow::datatypes::SchemaRef;
use chrono::{MappedLocalTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;
use thalweg_dataflow::time::TaskClock;

use super::{from_millis, millis};
use crate::chunk::Chunk;

/// The windows of a table function, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowSpec {
    /// One after the other.
    Tumble {
        /// How long they are.
        size: i64,
        /// How long after the epoch one begins.
        offset: i64,
    },
    /// One every `slide`.
    Hop {
        /// From the beginning of one to that of the next.
        slide: i64,
        /// How long they are: a multiple of `slide`.
        size: i64,
        /// How long after the epoch one begins.
        offset: i64,
    },
    /// Growing by `step`, up to `size`, then anew.
    Cumulate {
        /// So much longer is each than the one before.
        step: i64,
        /// How long the last is: a multiple of `step`.
        size: i64,
        /// How long after the epoch one begins.
        offset: i64,
    },
    /// As long as rows come within `gap` of each other.
    Session {
        /// Without a row for so long, it ends.
        gap: i64,
    },
}

impl WindowSpec {
    /// Calls `window(start, end)` for each window that `time` is in.
    pub fn windows_of(&self, time: i64, mut window: impl FnMut(i64, i64)) {
        match *self {
            Self::Tumble { size, offset } => {
                let start = start_of(time, offset, size);
                window(start, start + size);
            }
            Self::Hop { slide, size, offset } => {
                let mut start = start_of(time, offset, slide);
                while start > time - size {
                    window(start, start + size);
                    start -= slide;
                }
            }
            Self::Cumulate { step, size, offset } => {
                let start = start_of(time, offset, size);
                let mut end = start_of(time, offset, step) + step;
                while end <= start + size {
                    window(start, end);
                    end += step;
                }
            }
            // Sessions are not known by one row.
            Self::Session { gap } => window(time, time + gap),
        }
    }
}

/// The beginning of the interval of `length` that `time` is in.
pub(super) fn start_of(time: i64, offset: i64, length: i64) -> i64 {
    time - (time - offset).rem_euclid(length)
}

/// A point in time on the clock of a zone.
pub(crate) fn to_local(zone: Option<Tz>, utc: i64) -> i64 {
    let Some(zone) = zone else { return utc };
    let Some(time) = chrono::DateTime::from_timestamp_millis(utc) else { return utc };
    utc + i64::from(zone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()) * 1000
}

/// The clock of a zone, asked for one point in time after the other: what it is ahead of UTC by changes at a quarter of an hour, if at all.
struct LocalClock {
    zone: Option<Tz>,
    quarter: i64,
    ahead: i64,
}

impl LocalClock {
    fn new(zone: Option<Tz>) -> Self {
        Self { zone, quarter: i64::MIN, ahead: 0 }
    }

    #[inline]
    fn at(&mut self, utc: i64) -> i64 {
        if self.zone.is_none() {
            return utc;
        }
        let quarter = utc.div_euclid(900_000);
        if quarter != self.quarter {
            (self.quarter, self.ahead) = (quarter, to_local(self.zone, utc) - utc);
        }
        utc + self.ahead
    }
}

/// The ends of windows on the clock of a zone as points in time, the last millisecond of each: asked for one after the other, which are often
/// the same.
pub(super) struct LastMillis {
    zone: Option<Tz>,
    known: (i64, i64),
}

impl LastMillis {
    pub(super) fn new(zone: Option<Tz>) -> Self {
        Self { zone, known: (0, to_utc(zone, 0) - 1) }
    }

    #[inline]
    pub(super) fn of(&mut self, end: i64) -> i64 {
        if self.known.0 != end {
            self.known = (end, to_utc(self.zone, end) - 1);
        }
        self.known.1
    }
}

/// The point in time at which the clock of a zone shows `local`: the earlier of two; in a gap, when it ends.
pub(crate) fn to_utc(zone: Option<Tz>, local: i64) -> i64 {
    let Some(zone) = zone else { return local };
    let Some(time) = chrono::DateTime::from_timestamp_millis(local) else { return local };
    let local_time: NaiveDateTime = time.naive_utc();
    match zone.offset_from_local_datetime(&local_time) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => {
            local - i64::from(offset.fix().local_minus_utc()) * 1000
        }
        MappedLocalTime::None => {
            // What the clock would show, had it not been set forward yet.
            let before = local - 3 * 3_600_000;
            let offset = to_local(Some(zone), to_utc(Some(zone), before)) - to_utc(Some(zone), before);
            local - offset
        }
    }
}

/// The operator. Its page says what it does.
#[derive(Clone)]
pub struct WindowAssign {
    spec: WindowSpec,
    /// The column of event time; without it, windows are of processing time.
    time: Option<usize>,
    /// Of a time that is a point in time, the zone whose clock counts.
    zone: Option<Tz>,
    schema: SchemaRef,
    clock: TaskClock,
}

impl WindowAssign {
    /// Puts rows into windows by their column `time`, or by processing time. `schema` has the input's columns and the three of the window.
    pub fn new(spec: WindowSpec, time: Option<usize>, zone: Option<Tz>, schema: SchemaRef) -> Self {
        Self { spec, time, zone, schema, clock: TaskClock::default() }
    }

    fn assign(&self, chunk: &Chunk) -> Result<Chunk, BoxError> {
        let times = match self.time {
            Some(time) => millis(chunk.rows().column(time))?,
            None => Int64Array::from_value(self.clock.now(), chunk.len()),
        };
        let (mut starts, mut ends) = (Vec::with_capacity(chunk.len()), Vec::with_capacity(chunk.len()));
        let (mut clock, mut last) = (LocalClock::new(self.zone), LastMillis::new(self.zone));
        let taken = match self.spec {
            // Each row is in one window: the columns are as they are.
            WindowSpec::Tumble { size, offset } if times.null_count() == 0 => {
                // Rows of one window mostly come together.
                let (mut start, mut end) = (i64::MAX, i64::MIN);
                for time in times.values() {
                    let local = clock.at(*time);
                    if !(start <= local && local < end) {
                        start = start_of(local, offset, size);
                        end = start + size;
                    }
                    starts.push(start);
                    ends.push(end);
                }
                None
            }
            _ => {
                let mut rows = Vec::with_capacity(chunk.len());
                for row in (0..chunk.len()).filter(|row| times.is_valid(*row)) {
                    self.spec.windows_of(clock.at(times.value(row)), |start, end| {
                        rows.push(row as u32);
                        starts.push(start);
                        ends.push(end);
                    });
                }
                Some(chunk.take(&UInt32Array::from(rows))?)
            }
        };
        let chunk = taken.as_ref().unwrap_or(chunk);
        let mut columns: Vec<ArrayRef> = chunk.rows().columns().to_vec();
        let before = columns.len();
        let window_times: Int64Array = ends.iter().map(|end| last.of(*end)).collect();
        for (index, values) in [starts.into(), ends.into(), window_times].into_iter().enumerate() {
            columns.push(from_millis(values, self.schema.field(before + index).data_type())?);
        }
        Ok(chunk.with_columns(self.schema.clone(), columns)?)
    }
}

impl Operator for WindowAssign {
    type In = Chunk;
    type Out = Chunk;

    fn is_determined(&self) -> bool {
        true
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.clock = context.clock.clone();
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<Chunk>, output: &mut Output<Chunk>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            super::emit(output, self.assign(&record.value)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(spec: WindowSpec, time: i64) -> Vec<(i64, i64)> {
        let mut windows = Vec::new();
        spec.windows_of(time, |start, end| windows.push((start, end)));
        windows
    }

    #[test]
    fn rows_are_in_the_windows_that_hold_their_time() {
        assert_eq!(windows(WindowSpec::Tumble { size: 10, offset: 0 }, -1), [(-10, 0)]);
        assert_eq!(windows(WindowSpec::Tumble { size: 10, offset: 6 }, 5), [(-4, 6)]);
        assert_eq!(windows(WindowSpec::Hop { slide: 5, size: 10, offset: 1 }, 11), [(11, 21), (6, 16)]);
        assert_eq!(windows(WindowSpec::Cumulate { step: 5, size: 15, offset: 0 }, 5), [(0, 10), (0, 15)]);
    }

    #[test]
    fn a_window_of_a_zone_ends_by_its_clock() {
        let zone = Some(chrono_tz::Europe::Berlin);
        // 2021-03-28: the clock goes from two to three.
        let local = |hour: i64| 1_616_889_600_000 + hour * 3_600_000;
        assert_eq!(to_utc(zone, local(1)), local(0));
        assert_eq!(to_utc(zone, local(2)), local(1));
        assert_eq!(to_utc(zone, local(4)), local(2));
        assert_eq!(to_local(zone, local(2)), local(4));
    }
}
