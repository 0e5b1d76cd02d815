//! An aggregate in two phases: what there is of a group in one place is gathered there, before rows are divided by their keys
//! ([`LocalAggregate`]), and put together by who owns the key.
//!
//! Before: rows, and the calls over them. After: the partial results of rows that are only added, of calls that have such, and the calls over
//! those; of all others, rows and calls as they are.

use arrow::datatypes::SchemaRef;
use chrono_tz::Tz;
use thalweg_dataflow::graph::Stream;

use super::aggregate::Call;
use super::arrow;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::operators::LocalAggregate;
use crate::settings::Settings;

/// The calls of an aggregate.
#[derive(Clone)]
pub(super) struct Phases {
    pub(super) calls: Vec<Call>,
    /// Whether rows may be taken back.
    pub(super) retracts: bool,
    /// Whether there may be two phases.
    pub(super) two: bool,
}

/// What the owners of keys get, of which schema; the calls over that; and the column of the number of rows, if those are partial results.
pub(super) struct Halves {
    pub(super) rows: Stream<Chunk>,
    pub(super) of: SchemaRef,
    pub(super) calls: Vec<crate::aggregates::Aggregation>,
    pub(super) counted: Option<usize>,
}

/// Whether the session lets aggregates have two phases (`table.optimizer.agg-phase-strategy`).
pub(super) fn may_be_two(settings: &Settings) -> bool {
    let strategy = settings.get("table.optimizer.agg-phase-strategy");
    !strategy.is_some_and(|strategy| strategy.eq_ignore_ascii_case("ONE_PHASE"))
}

impl Phases {
    /// Over `rows` of the schema `of`, by their first `key` columns; `windows` is where the bounds of a window are among these, and the
    /// zone whose clock they are on.
    pub(super) fn halves(
        &self,
        rows: &Stream<Chunk>,
        key: usize,
        windows: Option<((usize, usize), Option<Tz>)>,
        of: &SchemaRef,
    ) -> Result<Halves, SqlError> {
        let calls =
            || self.calls.iter().map(|call| call.aggregation(self.retracts)).collect::<Result<Vec<_>, _>>();
        let local = match self.two && !self.retracts {
            true => LocalAggregate::new(key, windows, calls()?, of).map_err(arrow)?,
            false => None,
        };
        let Some(local) = local else {
            return Ok(Halves { rows: rows.clone(), of: of.clone(), calls: calls()?, counted: None });
        };
        let of = local.schema().clone();
        let calls = LocalAggregate::merging(key, calls()?).map_err(arrow)?;
        Ok(Halves { rows: rows.apply("local aggregate", local), of, calls, counted: Some(key) })
    }
}
