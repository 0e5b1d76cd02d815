//! Joins: of which kind one is follows from its inputs and its condition.
//!
//! | the right side is, or the condition has | operator |
//! |---|---|
//! | a table `FOR SYSTEM_TIME AS OF` a time | temporal join, lookup join |
//! | equal bounds of windows on both sides | window join |
//! | event times of both sides, so far apart at most | interval join |
//! | anything else | join of two changing tables |

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion_common::{DFSchema, JoinType, NullEquality};
use datafusion_expr::{Expr, ExprSchemable, Join, LogicalPlan};
use datafusion_physical_expr::PhysicalExpr;
use thalweg_dataflow::graph::Either;
use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::state::StateTtlConfig;

use super::interval::Interval;
use super::{Planned, Traits, Translator, WindowTrait, arrow, calc, chunk_schema, interval, temporal};
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::needs::{self, Need};
use crate::operators::{self, JoinInput, JoinKind};

/// One side of a join: its rows, with the columns of the key behind them where these are computed.
pub(super) struct JoinSide {
    pub(super) rows: Arc<Planned>,
    pub(super) key: Vec<usize>,
    pub(super) width: usize,
}

impl JoinSide {
    /// The side, with these expressions as its key.
    pub(super) fn new(
        translator: &Translator<'_>,
        rows: Arc<Planned>,
        schema: &DFSchema,
        key: &[&Expr],
    ) -> Result<Self, SqlError> {
        let width = rows.schema.fields().len();
        let places: Vec<Option<usize>> =
            key.iter().map(|expression| calc::column_of(expression, schema)).collect();
        if let Some(key) = places.iter().copied().collect::<Option<Vec<usize>>>() {
            return Ok(Self { rows, key, width });
        }
        let mut expressions: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
        let mut fields: Vec<Field> =
            rows.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        let mut columns = Vec::new();
        for (expression, place) in key.iter().zip(places) {
            columns.push(place.unwrap_or(expressions.len()));
            if place.is_none() {
                fields.push(Field::new(
                    format!("$key{}", expressions.len()),
                    expression.get_type(schema)?,
                    true,
                ));
                expressions.push((*expression).clone());
            }
        }
        let rows = calc::columns(translator, rows, schema, &expressions, Arc::new(Schema::new(fields)))?;
        Ok(Self { rows, key: columns, width })
    }
}

fn kind_of(join_type: JoinType) -> Option<(JoinKind, bool)> {
    Some(match join_type {
        JoinType::Inner => (JoinKind::Inner, false),
        JoinType::Left => (JoinKind::Left, false),
        JoinType::Right => (JoinKind::Right, false),
        JoinType::Full => (JoinKind::Full, false),
        JoinType::LeftSemi => (JoinKind::Semi, false),
        JoinType::LeftAnti => (JoinKind::Anti, false),
        JoinType::RightSemi => (JoinKind::Semi, true),
        JoinType::RightAnti => (JoinKind::Anti, true),
        _ => return None,
    })
}

/// A join, of the kind that its inputs and its condition make it.
pub(super) fn join(translator: &Translator<'_>, join: &Join) -> Result<Arc<Planned>, SqlError> {
    if join.join_type == JoinType::LeftMark {
        return mark(translator, join);
    }
    let Some((kind, swapped)) = kind_of(join.join_type) else {
        return Err(SqlError::new(format!("a {} join is not there yet", join.join_type)));
    };
    let (left, right): (&LogicalPlan, &LogicalPlan) =
        if swapped { (&join.right, &join.left) } else { (&join.left, &join.right) };
    let mut on: Vec<(&Expr, &Expr)> =
        join.on.iter().map(|(a, b)| if swapped { (b, a) } else { (a, b) }).collect();
    let both = Arc::new(left.schema().join(right.schema())?);
    let mut condition = join.filter.clone();
    // `a NOT IN (…)` is unknown, and not true, if a is NULL or there is a NULL among the others: what could be equal is a partner.
    if join.null_aware {
        let could_be = on.drain(..).map(|(a, b)| a.clone().eq(b.clone()).is_not_false());
        condition = could_be.chain(condition).reduce(Expr::and);
    }
    if let Some((table, conditions)) = temporal::of(right) {
        let condition = condition.into_iter().chain(conditions).reduce(Expr::and);
        return temporal::join(
            translator,
            temporal::Parts { kind, left, right, table, on, condition, both: &both },
        );
    }
    let filter = condition.as_ref().map(|condition| translator.physical(condition, &both)).transpose()?;
    let (left_rows, right_rows) = (translator.translate(left)?, translator.translate(right)?);
    let width = left_rows.schema.fields().len();
    let is_time = |column: usize| match column.checked_sub(width) {
        None => left_rows.traits.rowtime.contains(&column),
        Some(column) => right_rows.traits.rowtime.contains(&column),
    };
    let always = datafusion_expr::lit(true);
    let interval = interval::of(condition.as_ref().unwrap_or(&always), &on, &both, width, is_time);
    let keys: (Vec<&Expr>, Vec<&Expr>) = on.into_iter().unzip();
    let names = |keys: &[&Expr]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let condition = condition.map_or_else(String::new, |condition| format!(", where=[{condition}]"));
    let what = format!("Join({kind:?}, on=[{}]=[{}]{condition})", names(&keys.0), names(&keys.1));
    let left = JoinSide::new(translator, left_rows, left.schema(), &keys.0)?;
    let right = JoinSide::new(translator, right_rows, right.schema(), &keys.1)?;
    let nulls_equal = join.null_equality == NullEquality::NullEqualsNull;
    let condition = Condition { both: chunk_schema(&both), filter };
    if let Some(window) = same_windows(&left, &right) {
        return of_windows(&what, kind, (left, right), condition, window);
    }
    let retracts = left.rows.traits.retracts || right.rows.traits.retracts;
    match interval {
        Some(interval) if kind.is_pairs() && !retracts => {
            Ok(of_interval(&what, kind, (left, right), condition, interval))
        }
        _ => {
            let ttl = (translator.ttl(&left.rows.traits), translator.ttl(&right.rows.traits));
            regular(what, kind, (left, right), condition, (nulls_equal, ttl))
        }
    }
}

/// Rows of the left side, each with whether it has a partner: those that have one, and those that have none.
fn mark(translator: &Translator<'_>, join: &Join) -> Result<Arc<Planned>, SqlError> {
    let of = |join_type: JoinType, mark: bool| {
        let schema = Arc::clone(join.left.schema());
        let rows = translator.translate(&LogicalPlan::Join(Join { join_type, schema, ..join.clone() }))?;
        let mut expressions: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
        expressions.push(datafusion_expr::lit(mark));
        calc::project(translator, rows, join.left.schema(), &expressions, &join.schema)
    };
    Ok(super::translate::union_of(vec![of(JoinType::LeftSemi, true)?, of(JoinType::LeftAnti, false)?]))
}

/// The windows of both sides, if they are the same, and equal in the condition.
fn same_windows(left: &JoinSide, right: &JoinSide) -> Option<(WindowTrait, WindowTrait)> {
    let (a, b) = (left.rows.traits.window.clone()?, right.rows.traits.window.clone()?);
    let equal = |of_left: usize, of_right: usize| {
        left.key.iter().zip(&right.key).any(|(one, other)| *one == of_left && *other == of_right)
    };
    let same = a.spec == b.spec && a.processing_time == b.processing_time && a.zone == b.zone;
    let retracts = left.rows.traits.retracts || right.rows.traits.retracts;
    (same && !retracts && equal(a.start, b.start) && equal(a.end, b.end)).then_some((a, b))
}

/// The columns of both sides, and what pairs must pass.
pub(super) struct Condition {
    pub(super) both: SchemaRef,
    pub(super) filter: Option<Arc<dyn PhysicalExpr>>,
}

/// A join of two sides by an operator called `name`, the rows of each divided by its key; it reads the columns `also` of either side, besides.
/// `what` it is, the columns `schema` that come out, and what is known of them.
pub(super) fn joined<O>(
    (what, name): (String, &'static str),
    (left, right): (JoinSide, JoinSide),
    Condition { both, filter }: Condition,
    also: (Vec<usize>, Vec<usize>),
    (schema, traits): (SchemaRef, Traits),
    make: impl Fn(JoinInput<'_>) -> Result<O, ArrowError> + Send + Sync + 'static,
) -> Arc<Planned>
where
    O: Operator<In = Either<Chunk, Chunk>, Out = Chunk> + Clone,
{
    let widths = (left.width, right.width);
    let (schemas, keys) = ((left.rows.schema.clone(), right.rows.schema.clone()), (left.key, right.key));
    let reads = reads_of(widths, (&schemas.0, &schemas.1), keys.clone(), filter.clone(), also);
    let planned = Planned::new(what, vec![left.rows, right.rows], schema, traits, move |building, inputs| {
        let input = JoinInput {
            keys: keys.clone(),
            schemas: (&schemas.0, &schemas.1),
            widths,
            both: both.clone(),
            filter: filter.clone(),
        };
        let operator = make(input).map_err(arrow)?;
        let pairs = building.keyed_pair(&inputs, (&keys.0, &keys.1), (&schemas.0, &schemas.1))?;
        Ok(pairs.apply(name, operator).identity(&building.identity_of_rows()))
    });
    planned.reading(reads)
}

/// What a join reads of its sides, if of what comes out this is needed: `widths` columns of each come out, and the columns of the key, what
/// pairs must pass, and `also` these are looked at.
pub(super) fn reads_of(
    widths: (usize, usize),
    schemas: (&SchemaRef, &SchemaRef),
    keys: (Vec<usize>, Vec<usize>),
    filter: Option<Arc<dyn PhysicalExpr>>,
    also: (Vec<usize>, Vec<usize>),
) -> impl Fn(&[Need]) -> Vec<Vec<Need>> + Send + Sync + 'static {
    let fields = (schemas.0.fields().len(), schemas.1.fields().len());
    move |needed| {
        let mut both = needs::through(needed, widths.0 + widths.1, None);
        filter.iter().for_each(|filter| needs::reads(filter, &Need::All, &mut both));
        let looked_at = |key: &[usize], also: &[usize]| [key, also].concat();
        vec![
            needs::through(&both[..widths.0], fields.0, looked_at(&keys.0, &also.0)),
            needs::through(&both[widths.0..], fields.1, looked_at(&keys.1, &also.1)),
        ]
    }
}

fn of_interval(
    what: &str,
    kind: JoinKind,
    (left, right): (JoinSide, JoinSide),
    condition: Condition,
    Interval { times, bounds }: Interval,
) -> Arc<Planned> {
    let mut rowtime = Vec::new();
    // A side that may be missing has no time then.
    if !matches!(kind, JoinKind::Right | JoinKind::Full) {
        rowtime.push(times.0);
    }
    if !matches!(kind, JoinKind::Left | JoinKind::Full) {
        rowtime.push(left.width + times.1);
    }
    let traits = Traits { rowtime, ..Traits::default() };
    let (what, schema) = (format!("Interval{what}"), condition.both.clone());
    let also = (vec![times.0], vec![times.1]);
    joined((what, "interval join"), (left, right), condition, also, (schema, traits), move |input| {
        operators::IntervalJoin::new(kind, input, times, bounds)
    })
}

fn of_windows(
    what: &str,
    kind: JoinKind,
    (left, right): (JoinSide, JoinSide),
    condition: Condition,
    (a, b): (WindowTrait, WindowTrait),
) -> Result<Arc<Planned>, SqlError> {
    let own = left.rows.traits.moved(|column| (column < left.width).then_some(column));
    // What comes out has not come before its window was over: rows of either side have its bounds, and its time.
    let traits = Traits { retracts: false, ..own };
    let traits = if kind.is_pairs() { Traits { keys: Vec::new(), ..traits } } else { traits };
    let traits = match kind {
        // Where the left side may be missing, so may be its window.
        JoinKind::Right | JoinKind::Full => Traits { window: None, rowtime: Vec::new(), ..traits },
        _ => traits,
    };
    let schema = kind.schema(&condition.both, (left.width, right.width)).map_err(arrow)?;
    let what = format!("Window{what}");
    let also = (vec![a.end], vec![b.end]);
    Ok(joined((what, "window join"), (left, right), condition, also, (schema, traits), move |input| {
        operators::WindowJoin::new(kind, input, (a.end, b.end), a.zone, a.processing_time)
    }))
}

/// What is known of pairs of rows of two sides.
pub(super) fn traits_of(kind: JoinKind, left: &JoinSide, right: &JoinSide) -> Traits {
    let (a, b) = (&left.rows.traits, &right.rows.traits);
    let retracts = a.retracts || b.retracts || !matches!(kind, JoinKind::Inner | JoinKind::Semi);
    if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        let own = a.moved(|column| (column < left.width).then_some(column));
        return Traits { retracts, rowtime: Vec::new(), window: None, ..own };
    }
    let unique = |side: &JoinSide| {
        side.rows.traits.keys.iter().any(|key| key.iter().all(|column| side.key.contains(column)))
    };
    let of_right = b.moved(|column| (column < right.width).then_some(left.width + column));
    let of_left = a.moved(|column| (column < left.width).then_some(column));
    let mut keys: Vec<Vec<usize>> = Vec::new();
    // Where a row has one partner at most, what is unique stays so. A row with NULLs instead of a partner has no key there.
    if unique(right) && !matches!(kind, JoinKind::Right | JoinKind::Full) {
        keys.extend(of_left.keys.iter().cloned());
    }
    if unique(left) && !matches!(kind, JoinKind::Left | JoinKind::Full) {
        keys.extend(of_right.keys.iter().cloned());
    }
    for one in &of_left.keys {
        keys.extend(of_right.keys.iter().map(|other| one.iter().chain(other).copied().collect()));
    }
    // After a join, rows no longer come by their times.
    Traits { retracts, keys, ..Traits::default() }
}

fn regular(
    what: String,
    kind: JoinKind,
    (left, right): (JoinSide, JoinSide),
    condition: Condition,
    (nulls_equal, (left_ttl, right_ttl)): (bool, (Option<StateTtlConfig>, Option<StateTtlConfig>)),
) -> Result<Arc<Planned>, SqlError> {
    let traits = traits_of(kind, &left, &right);
    let (of_left, of_right) = (!left.rows.traits.retracts, !right.rows.traits.retracts);
    let schema = kind.schema(&condition.both, (left.width, right.width)).map_err(arrow)?;
    Ok(joined((what, "join"), (left, right), condition, Default::default(), (schema, traits), move |input| {
        let join = operators::Join::new(kind, input, nulls_equal)?;
        Ok(join.with_ttl(left_ttl, right_ttl).appending(of_left, of_right))
    }))
}
