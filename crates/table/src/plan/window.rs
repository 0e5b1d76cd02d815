//! Window table functions.

use std::sync::Arc;

use super::{Planned, Translator, WindowTrait, arrow, calc, chunk_schema};
use crate::error::SqlError;
use crate::needs::{self, Need};
use crate::operators::{SessionAssign, WindowAssign, WindowSpec};
use crate::planner::window_function::WindowFunction;
use arrow::datatypes::DataType;

/// Rows with the bounds of their windows.
pub(super) fn window(translator: &Translator<'_>, node: &WindowFunction) -> Result<Arc<Planned>, SqlError> {
    let input = translator.translate(&node.input)?;
    let schema = chunk_schema(&node.schema);
    let place = |expression| calc::column_of(expression, node.input.schema());
    let time = place(&node.time).ok_or_else(|| SqlError::new("windows go by a column"))?;
    let processing_time = input.traits.proctime.contains(&time);
    if !processing_time && !input.traits.rowtime.contains(&time) {
        return Err(SqlError::new(format!(
            "windows go by a time attribute, and `{}` is none: it has no WATERMARK, or was computed from a column that has",
            input.schema.field(time).name()
        )));
    }
    let zone = match schema.field(time).data_type() {
        DataType::Timestamp(_, Some(_)) => Some(translator.settings.time_zone()),
        _ => None,
    };
    let columns = input.schema.fields().len();
    let mut traits = input.traits.clone();
    // A row may be in several windows.
    if !matches!(node.spec, WindowSpec::Tumble { .. }) {
        traits.keys.iter_mut().for_each(|key| key.push(columns + 1));
    }
    if processing_time {
        traits.proctime.push(columns + 2);
    } else {
        traits.rowtime.push(columns + 2);
    }
    let (start, end) = (columns, columns + 1);
    traits.window = Some(WindowTrait { start, end, spec: node.spec, processing_time, zone });
    let by = if processing_time { "processing time" } else { schema.field(time).name() };
    let time = (!processing_time).then_some(time);
    let WindowSpec::Session { gap } = node.spec else {
        let what = format!("WindowTableFunction({:?} by {by})", node.spec);
        let assign = WindowAssign::new(node.spec, time, zone, schema.clone());
        let planned = Planned::new(what, vec![input], schema, traits, move |_, inputs| {
            Ok(inputs[0].apply("window", assign.clone()))
        });
        return Ok(planned.reading(move |needed| {
            let mut below = needed[..columns.min(needed.len())].to_vec();
            time.iter().for_each(|time| below[*time] = Need::All);
            vec![below]
        }));
    };
    let key = node.partition.iter().map(place).collect::<Option<Vec<usize>>>();
    let key = key.ok_or_else(|| SqlError::new("sessions are partitioned by columns"))?;
    let what = format!("WindowTableFunction(Session {gap} ms by {by}, partition by {key:?})");
    let of = schema.clone();
    let also: Vec<usize> = key.iter().copied().chain(time).collect();
    let planned = Planned::new(what, vec![input], schema, traits, move |building, inputs| {
        let assign = SessionAssign::new(key.clone(), gap, time, zone, of.clone()).map_err(arrow)?;
        let keyed = building.keyed(&inputs[0], &key, &of)?;
        Ok(keyed.apply("session", assign).identity(&building.identity_of_rows()))
    });
    Ok(planned.reading(move |needed| {
        vec![needs::through(&needed[..columns.min(needed.len())], columns, also.iter().copied())]
    }))
}
