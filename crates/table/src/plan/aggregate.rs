//! `GROUP BY`, and `DISTINCT`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion_expr::{Aggregate, Expr};
use thalweg_dataflow::state::StateTtlConfig;

use super::phases::{Halves, Phases, may_be_two};
use super::slices::{self, Sliced};
use super::{Planned, Traits, Translator, WindowTrait, arrow, calc, chunk_schema};
use crate::aggregates::user::{UserAggregate, user_function};
use crate::aggregates::{Aggregation, Function, declaration};
use crate::error::SqlError;
use crate::needs::{self, Need};
use crate::operators::{
    EmitStrategy, Expand, GroupAggregate, SetColumns, WindowAggregate, WindowSlices, WindowSpec,
    WindowUpdates,
};
use crate::settings::Settings;

/// A call of an aggregate function, over columns of the operator's input.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) arguments: Vec<usize>,
    pub(super) filter: Option<usize>,
    pub(super) distinct: bool,
    pub(super) types: Vec<DataType>,
    separator: Option<String>,
    /// Of a `PERCENTILE`, and the type of its result.
    fractions: Option<(Vec<f64>, DataType)>,
    user: Option<Arc<dyn UserAggregate>>,
}

impl Call {
    pub(super) fn aggregation(&self, retracts: bool) -> Result<Aggregation, SqlError> {
        let Self { function, arguments, filter, distinct, types, separator, fractions, user } = self.clone();
        let mut made =
            Aggregation::new(function, arguments, filter, distinct, retracts, types).map_err(arrow)?;
        if let Some((fractions, result)) = fractions {
            made = made.at(fractions, result);
        }
        if let Some(user) = user {
            // Values that count once each are kept, and gathered anew.
            if retracts && !distinct && !user.retracts() {
                return Err(SqlError::new(
                    "rows are taken back here, and an aggregate function of yours cannot take them back",
                )
                .help("`AggregateFunction::retract` is how it can; `retracts` says that it does"));
            }
            made = made.of_user(user);
        }
        Ok(match separator {
            Some(separator) => made.separated_by(&separator),
            None => made,
        })
    }
}

/// The columns that an aggregate reads, as expressions over its input.
pub(super) struct Columns {
    pub(super) expressions: Vec<Expr>,
}

impl Columns {
    /// The number of the column that an expression is in.
    pub(super) fn place(&mut self, expression: &Expr) -> usize {
        let known = self.expressions.iter().position(|known| known == expression);
        known.unwrap_or_else(|| {
            self.expressions.push(expression.clone());
            self.expressions.len() - 1
        })
    }

    /// A call, with its arguments in these columns.
    pub(super) fn call(
        &mut self,
        function: &datafusion_expr::AggregateUDF,
        arguments: &[Expr],
        filter: Option<&Expr>,
        distinct: bool,
        schema: &datafusion_common::DFSchema,
    ) -> Result<Call, SqlError> {
        use datafusion_expr::ExprSchemable;
        let user = user_function(function);
        let Some((function, counts_once)) = declaration::function_of(function) else {
            return Err(SqlError::new(format!("the aggregate function `{}` is not there", function.name())));
        };
        let mut arguments = arguments.to_vec();
        let mut separator = None;
        if function == Function::ListAgg && arguments.len() == 2 {
            let value = crate::planner::constant(&arguments.remove(1))?;
            separator = value.try_as_str().flatten().map(str::to_owned);
        }
        let mut fractions = None;
        if function == Function::Percentile && arguments.len() == 2 {
            let types = [arguments[0].get_type(schema)?, arguments[1].get_type(schema)?];
            fractions = Some((fractions_of(&arguments.remove(1))?, function.result(&types)));
        }
        // A constant is no argument that rows have to be looked at for.
        if function == Function::Count && !distinct {
            arguments.retain(|argument| !matches!(argument, Expr::Literal(value, _) if !value.is_null()));
        }
        let types = arguments.iter().map(|argument| argument.get_type(schema));
        let types = types.collect::<Result<Vec<_>, _>>()?;
        let filter = filter.map(|filter| self.place(filter));
        let arguments = arguments.iter().map(|argument| self.place(argument)).collect();
        let distinct = distinct || counts_once;
        Ok(Call { function, arguments, filter, distinct, types, separator, fractions, user })
    }

    /// The input with these columns alone.
    pub(super) fn over(
        &self,
        translator: &Translator<'_>,
        input: Arc<Planned>,
        schema: &datafusion_common::DFSchema,
    ) -> Result<Arc<Planned>, SqlError> {
        use datafusion_expr::ExprSchemable;
        let field = |(index, expression): (usize, &Expr)| {
            Ok(Field::new(format!("f{index}"), expression.get_type(schema)?, true))
        };
        let fields = self.expressions.iter().enumerate().map(field);
        let fields = fields.collect::<Result<Vec<Field>, SqlError>>()?;
        calc::columns(translator, input, schema, &self.expressions, Arc::new(Schema::new(fields)))
    }
}

/// The fractions, between 0 and 1, that a `PERCENTILE` is at.
fn fractions_of(argument: &Expr) -> Result<Vec<f64>, SqlError> {
    use arrow::array::AsArray;
    let wrong = || SqlError::new("PERCENTILE is at a constant between 0 and 1, or at an array of such");
    let mut values = crate::planner::constant(argument)?.to_array()?;
    if let DataType::List(_) = values.data_type() {
        values = values.as_list::<i32>().value(0);
    }
    let values = arrow::compute::cast(&values, &DataType::Float64).map_err(arrow)?;
    let all = values.as_primitive::<arrow::datatypes::Float64Type>().iter();
    all.map(|value| value.filter(|value| (0.0..=1.0).contains(value)).ok_or_else(wrong)).collect()
}

fn without_alias(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => without_alias(&alias.expr),
        other => other,
    }
}

/// `GROUP BY`: by windows that end, or for ever.
pub(super) fn aggregate(translator: &Translator<'_>, node: &Aggregate) -> Result<Arc<Planned>, SqlError> {
    let sets = grouping_sets(node)?;
    let emit = emit_strategy(translator.settings);
    let at_the_end = matches!(emit, Ok(None));
    let sliced = if sets.is_none() && at_the_end { slices::sliced(node) } else { None };
    let sliced = match sliced {
        // Of event time alone: time that passes by itself ends windows, not slices.
        Some(sliced) => Some((translator.translate(&sliced.input)?, sliced))
            .filter(|(input, _)| input.traits.window.as_ref().is_some_and(|of| !of.processing_time)),
        None => None,
    };
    let (input, sliced) = match sliced {
        Some((input, sliced)) => (input, Some(sliced)),
        None => (translator.translate(&node.input)?, None),
    };
    let input_schema = node.input.schema();
    let groups = match &sets {
        Some(sets) => sets.groups.clone(),
        None => node.group_expr.iter().map(|group| without_alias(group).clone()).collect(),
    };
    let mut columns = Columns { expressions: groups };
    let key: Vec<usize> = (0..columns.expressions.len()).collect();
    let mut calls = Vec::new();
    for call in &node.aggr_expr {
        let Expr::AggregateFunction(call) = without_alias(call) else {
            return Err(SqlError::new(format!("`{call}` is no aggregate")));
        };
        let params = &call.params;
        calls.push(columns.call(
            &call.func,
            &params.args,
            params.filter.as_deref(),
            params.distinct,
            input_schema,
        )?);
    }
    let retracts = input.traits.retracts;
    let two_phases = may_be_two(translator.settings);
    let rows = match &sets {
        Some(sets) => sets.expand(translator, &columns, &input, input_schema)?,
        None => columns.over(translator, input, input_schema)?,
    };
    let schema = chunk_schema(&node.schema);
    let names = |of: &[Expr]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (by, select) = (names(&node.group_expr), names(&node.aggr_expr));
    // The window is among the columns that are grouped by.
    let window =
        rows.traits.window.clone().filter(|window| window.start < key.len() && window.end < key.len());
    if let Some(window) = window {
        let spec = sliced.as_ref().map_or(window.spec, |sliced| sliced.spec);
        let traits = Traits {
            retracts: false,
            keys: vec![key.clone()],
            rowtime: rows.traits.rowtime.iter().copied().filter(|column| key.contains(column)).collect(),
            proctime: rows.traits.proctime.iter().copied().filter(|column| key.contains(column)).collect(),
            window: Some(WindowTrait { spec, ..window.clone() }),
            ttl: None,
        };
        if let Some(emit) = emit? {
            return updates(rows, (by, select), key, calls, (window, emit), schema);
        }
        let (of, out) = (rows.schema.clone(), schema.clone());
        let (width, bounds) = (key.len(), (window.start, window.end));
        let held = Some((bounds, window.zone));
        if let Some(Sliced { slicing, spec, .. }) = sliced {
            let what = format!("WindowAggregate(groupBy=[{by}], select=[{select}], slices of {spec:?})");
            let phases = Phases { calls, retracts, two: two_phases };
            return Ok(Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
                let Halves { rows, of, calls, counted } = phases.halves(&inputs[0], width, held, &of)?;
                let (zone, out) = (window.zone, out.clone());
                let operator = WindowSlices::new(slicing, width, bounds, zone, calls, counted, out);
                let keyed = building.keyed(&rows, &WindowSlices::key(width, bounds), &of)?;
                Ok(keyed.apply("window slices", operator.map_err(arrow)?).identity(&building.identity()))
            }));
        }
        // Rows of sessions are with their owners already; what time ends that passes by itself is not held.
        let alone = window.processing_time || matches!(window.spec, WindowSpec::Session { .. });
        let phases = Phases { calls, retracts, two: two_phases && !alone };
        let what = format!("WindowAggregate(groupBy=[{by}], select=[{select}])");
        return Ok(Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
            let Halves { rows, of, calls, counted } = phases.halves(&inputs[0], width, held, &of)?;
            let WindowTrait { end, zone, processing_time, .. } = window;
            let operator =
                WindowAggregate::new(key.clone(), end, zone, processing_time, calls, counted, out.clone());
            let keyed = building.keyed(&rows, &key, &of)?;
            Ok(keyed.apply("window aggregate", operator.map_err(arrow)?).identity(&building.identity()))
        }));
    }
    let at_the_end = translator.settings.is_bounded();
    let traits = Traits { retracts: !at_the_end, keys: vec![key.clone()], ..Traits::default() };
    let what = format!("GroupAggregate(groupBy=[{by}], select=[{select}])");
    let ttl = translator.ttl(&rows.traits);
    let phases = Phases { calls, retracts, two: two_phases };
    Ok(grouped(what, rows, key, phases, schema, traits, Keeping { ttl, at_the_end }))
}

/// When results of windows go out besides when they are over, if a setting says so (`table.exec.emit.…`).
fn emit_strategy(settings: &Settings) -> Result<Option<EmitStrategy>, SqlError> {
    let delay = |what: &str| {
        let delay =
            settings.get(&format!("table.exec.emit.{what}-fire.delay")).and_then(crate::options::millis);
        settings.is_on(&format!("table.exec.emit.{what}-fire.enabled")).then(|| delay.unwrap_or(0))
    };
    let (early, late) = (delay("early"), delay("late"));
    let lateness = ["table.exec.emit.allow-lateness", "table.exec.state.ttl"];
    let lateness = lateness.iter().find_map(|key| settings.get(key).and_then(crate::options::millis));
    let lateness = lateness.filter(|_| late.is_some()).unwrap_or(0);
    if late.is_some() && lateness <= 0 {
        return Err(SqlError::new("results that are told late want lateness to be allowed")
            .help("SET 'table.exec.emit.allow-lateness' = '1 h'"));
    }
    Ok((early.is_some() || late.is_some()).then_some(EmitStrategy { early, late, lateness }))
}

/// Windows whose results are told before they are over, or again.
fn updates(
    rows: Arc<Planned>,
    (by, select): (String, String),
    key: Vec<usize>,
    calls: Vec<Call>,
    (window, emit): (WindowTrait, EmitStrategy),
    schema: arrow::datatypes::SchemaRef,
) -> Result<Arc<Planned>, SqlError> {
    if window.processing_time || matches!(window.spec, WindowSpec::Session { .. }) {
        return Err(SqlError::new(
            "results are told early and late (`table.exec.emit.…`) of windows of event time that are no sessions",
        ));
    }
    let retracts = rows.traits.retracts;
    let traits = Traits { retracts: true, keys: vec![key.clone()], ..Traits::default() };
    let what = format!("WindowAggregate(groupBy=[{by}], select=[{select}], emit={emit:?})");
    let (of, out) = (rows.schema.clone(), schema.clone());
    Ok(Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
        let made = calls.iter().map(|call| call.aggregation(retracts)).collect::<Result<Vec<_>, _>>()?;
        let operator = WindowUpdates::new(key.clone(), window.end, window.zone, made, emit, out.clone());
        let keyed = building.keyed(&inputs[0], &key, &of)?;
        Ok(keyed.apply("window updates", operator.map_err(arrow)?).identity(&building.identity()))
    }))
}

/// `GROUPING SETS`, `CUBE` and `ROLLUP`: each row once for each set, with NULLs for the columns that are not in it.
struct GroupingSets {
    /// All columns of all sets, by names of their own, so that an argument of the same column is not taken for one; and the number of
    /// the set.
    groups: Vec<Expr>,
    /// For each set, which of the columns are in it.
    sets: Vec<Vec<bool>>,
    number: DataType,
}

fn grouping_sets(node: &Aggregate) -> Result<Option<GroupingSets>, SqlError> {
    use datafusion_expr::GroupingSet;
    use datafusion_expr::utils::{enumerate_grouping_sets, grouping_set_to_exprlist};
    if !node.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_))) {
        return Ok(None);
    }
    let all = enumerate_grouping_sets(node.group_expr.clone())?;
    let sets: Vec<Vec<Expr>> = match &all[..] {
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => sets.clone(),
        // The longest first.
        [Expr::GroupingSet(GroupingSet::Rollup(of))] => {
            (0..=of.len()).rev().map(|length| of[..length].to_vec()).collect()
        }
        [Expr::GroupingSet(GroupingSet::Cube(of))] if of.len() < 16 => {
            let inside = |set: usize| move |place: &usize| set & (1 << place) != 0;
            let set = |set: usize| (0..of.len()).filter(inside(set)).map(|place| of[place].clone()).collect();
            (0..1 << of.len()).map(set).collect()
        }
        _ => return Err(SqlError::new("these grouping sets are not there yet")),
    };
    let columns: Vec<Expr> = grouping_set_to_exprlist(&all)?.into_iter().cloned().collect();
    let inside = |set: &Vec<Expr>| columns.iter().map(|column| set.contains(column)).collect::<Vec<bool>>();
    let sets: Vec<Vec<bool>> = sets.iter().map(inside).collect();
    if sets.iter().enumerate().any(|(index, set)| sets[..index].contains(set)) {
        return Err(SqlError::new("a grouping set stands there twice"));
    }
    let number = node.schema.field(columns.len()).data_type().clone();
    let named = columns.into_iter().enumerate().map(|(index, column)| column.alias(format!("$group{index}")));
    let mut groups: Vec<Expr> = named.collect();
    groups.push(datafusion_expr::lit(datafusion_common::ScalarValue::try_from(&number)?).alias("$set"));
    Ok(Some(GroupingSets { groups, sets, number }))
}

impl GroupingSets {
    fn expand(
        &self,
        translator: &Translator<'_>,
        columns: &Columns,
        input: &Arc<Planned>,
        schema: &datafusion_common::DFSchema,
    ) -> Result<Arc<Planned>, SqlError> {
        use datafusion_common::ScalarValue;
        use datafusion_expr::{ExprSchemable, lit};
        let (mut sets, mut known): (Vec<SetColumns>, Option<Traits>) = (Vec::new(), None);
        let fields = columns.expressions.iter().enumerate().map(|(index, expression)| {
            Ok(Field::new(format!("f{index}"), expression.get_type(schema)?, true))
        });
        let out = Arc::new(Schema::new(fields.collect::<Result<Vec<Field>, SqlError>>()?));
        let mut what = Vec::new();
        for set in &self.sets {
            let mut expressions = columns.expressions.clone();
            for (place, inside) in set.iter().enumerate() {
                if !inside {
                    expressions[place] = lit(ScalarValue::try_from(&expressions[place].get_type(schema)?)?);
                }
            }
            // The number has a bit for each column, the first one the highest: 1 if it is not in the set.
            let number = set.iter().fold(0_u64, |number, inside| number << 1 | u64::from(!inside));
            expressions[set.len()] = lit(ScalarValue::from(number).cast_to(&self.number)?);
            let physical = expressions.iter().map(|expression| translator.physical(expression, schema));
            sets.push(physical.collect::<Result<_, _>>()?);
            what.push(format!(
                "[{}]",
                expressions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ));
            // What goes for all sets goes for the rows of all of them.
            let own = calc::traits_of(&input.traits, &expressions, schema);
            known = Some(match known {
                None => own,
                Some(known) => Traits {
                    rowtime: known.rowtime.into_iter().filter(|of| own.rowtime.contains(of)).collect(),
                    proctime: known.proctime.into_iter().filter(|of| own.proctime.contains(of)).collect(),
                    window: known.window.filter(|window| own.window.as_ref() == Some(window)),
                    ..known
                },
            });
        }
        let traits = Traits { keys: Vec::new(), ..known.unwrap_or_default() };
        let what = format!("Expand(sets=[{}])", what.join(", "));
        let (schema, read, width) = (out.clone(), sets.clone(), input.schema.fields().len());
        let planned = Planned::new(what, vec![input.clone()], schema, traits, move |_, inputs| {
            Ok(inputs[0].apply("expand", Expand::new(sets.clone(), out.clone())))
        });
        Ok(planned.reading(move |needed| {
            let mut below = vec![Need::No; width];
            for columns in &read {
                columns.iter().zip(needed).for_each(|(column, need)| needs::reads(column, need, &mut below));
            }
            vec![below]
        }))
    }
}

/// What a `GROUP BY` keeps: how long, and whether until its input ends.
struct Keeping {
    ttl: Option<StateTtlConfig>,
    at_the_end: bool,
}

fn grouped(
    what: String,
    rows: Arc<Planned>,
    key: Vec<usize>,
    phases: Phases,
    schema: arrow::datatypes::SchemaRef,
    traits: Traits,
    Keeping { ttl, at_the_end }: Keeping,
) -> Arc<Planned> {
    let (of, out) = (rows.schema.clone(), schema.clone());
    Planned::new(what, vec![rows], schema, traits, move |building, inputs| {
        // Where rows stay where they are, it pays to group them once.
        let phases = Phases { two: phases.two && building.parallelism > 1, ..phases.clone() };
        let Halves { rows, of, calls, counted } = phases.halves(&inputs[0], key.len(), None, &of)?;
        let operator = GroupAggregate::new(key.clone(), calls, counted, out.clone());
        let operator = operator.map_err(arrow)?.with_ttl(ttl).at_the_end(at_the_end);
        Ok(building
            .keyed(&rows, &key, &of)?
            .apply("group aggregate", operator)
            .identity(&building.identity()))
    })
}

/// Each row once.
pub(super) fn distinct(translator: &Translator<'_>, rows: Arc<Planned>) -> Result<Arc<Planned>, SqlError> {
    let key: Vec<usize> = (0..rows.schema.fields().len()).collect();
    // A row that never comes twice, and is never taken back, goes out once.
    let traits = Traits { keys: vec![key.clone()], ttl: None, ..rows.traits.clone() };
    let (retracts, ttl) = (rows.traits.retracts, translator.ttl(&rows.traits));
    let phases = Phases { calls: Vec::new(), retracts, two: may_be_two(translator.settings) };
    // A row goes out when it first comes, unless it may be taken back.
    let at_the_end = retracts && translator.settings.is_bounded();
    let traits = Traits { retracts: retracts && !at_the_end, ..traits };
    let schema = rows.schema.clone();
    Ok(grouped("Distinct()".to_owned(), rows, key, phases, schema, traits, Keeping { ttl, at_the_end }))
}
