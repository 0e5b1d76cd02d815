//! Before: a time, plus or minus an interval of days or less that is the same in every row. After: a number is added to it.
//!
//! Such intervals are so many milliseconds, whatever the zone; arrow would go by the calendar of each row.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{
    DataType, FieldRef, Schema, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Result, ScalarValue, exec_err};
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Literal};

/// Makes additions of all of them in an expression.
pub(super) fn shift(expression: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let shifted = expression.transform_up(|expression| {
        Ok(match shifted(&expression, schema)? {
            Some(shifted) => Transformed::yes(shifted),
            None => Transformed::no(expression),
        })
    })?;
    Ok(shifted.data)
}

fn shifted(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(binary) = expression.downcast_ref::<BinaryExpr>() else { return Ok(None) };
    let sign = match binary.op() {
        Operator::Plus => 1,
        Operator::Minus => -1,
        _ => return Ok(None),
    };
    let Some(by) = binary.right().downcast_ref::<Literal>().and_then(|literal| nanoseconds(literal.value()))
    else {
        return Ok(None);
    };
    let DataType::Timestamp(unit, _) = binary.left().data_type(schema)? else { return Ok(None) };
    let unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    if by % unit != 0 {
        return Ok(None);
    }
    let Ok(by) = i64::try_from(sign * by / unit) else { return Ok(None) };
    Ok(Some(Arc::new(Shifted { time: binary.left().clone(), by })))
}

/// How long an interval is, if that does not depend on when it begins.
fn nanoseconds(interval: &ScalarValue) -> Option<i128> {
    const DAY: i128 = 86_400_000_000_000;
    match interval {
        ScalarValue::IntervalMonthDayNano(Some(of)) if of.months == 0 => {
            Some(i128::from(of.days) * DAY + i128::from(of.nanoseconds))
        }
        ScalarValue::IntervalDayTime(Some(of)) => {
            Some(i128::from(of.days) * DAY + i128::from(of.milliseconds) * 1_000_000)
        }
        _ => None,
    }
}

/// A time, and what is added to it, in its unit.
#[derive(Debug, Eq)]
struct Shifted {
    time: Arc<dyn PhysicalExpr>,
    by: i64,
}

// As for all expressions with others in them: what is derived wants to move the pointer.
impl PartialEq for Shifted {
    fn eq(&self, other: &Self) -> bool {
        self.time.eq(&other.time) && self.by == other.by
    }
}

impl Hash for Shifted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.time.hash(state);
        self.by.hash(state);
    }
}

impl fmt::Display for Shifted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} + {}", self.time, self.by)
    }
}

fn add<T: ArrowPrimitiveType<Native = i64>>(times: &ArrayRef, by: i64) -> Result<ArrayRef, ArrowError> {
    let times: &PrimitiveArray<T> = times.as_primitive();
    let shifted: PrimitiveArray<T> = times.try_unary(|time| {
        time.checked_add(by)
            .ok_or_else(|| ArrowError::ArithmeticOverflow(format!("{time} + {by}: out of range")))
    })?;
    Ok(Arc::new(shifted.with_data_type(times.data_type().clone())))
}

impl PhysicalExpr for Shifted {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.time.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.time.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.time.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let times = self.time.evaluate(batch)?.into_array(batch.num_rows())?;
        let shifted = match times.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => add::<TimestampSecondType>(&times, self.by),
            DataType::Timestamp(TimeUnit::Millisecond, _) => add::<TimestampMillisecondType>(&times, self.by),
            DataType::Timestamp(TimeUnit::Microsecond, _) => add::<TimestampMicrosecondType>(&times, self.by),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => add::<TimestampNanosecondType>(&times, self.by),
            other => return exec_err!("{other} where a time was planned"),
        };
        Ok(ColumnarValue::Array(shifted?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.time]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match children.into_iter().next() {
            Some(time) => Ok(Arc::new(Self { time, by: self.by })),
            None => exec_err!("a time that is shifted has one input"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.time.fmt_sql(f)?;
        write!(f, " + {}", self.by)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMillisecondArray;
    use arrow::datatypes::{Field, IntervalMonthDayNano};
    use datafusion_physical_expr::expressions::{col, lit};

    use super::*;

    fn plus(op: Operator, interval: ScalarValue) -> (Arc<dyn PhysicalExpr>, Schema) {
        let zone = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let schema = Schema::new(vec![Field::new("ts", zone, true)]);
        let time = col("ts", &schema).unwrap();
        (Arc::new(BinaryExpr::new(time, op, lit(interval))), schema)
    }

    fn interval(months: i32, days: i32, nanoseconds: i64) -> ScalarValue {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanoseconds)))
    }

    #[test]
    fn it_comes_to_what_arrow_makes_of_it() {
        for op in [Operator::Plus, Operator::Minus] {
            for interval in [interval(0, 0, 5_000_000_000), interval(0, 2, -7_000_000), interval(0, -1, 0)] {
                let (before, schema) = plus(op, interval);
                let after = shift(before.clone(), &schema).unwrap();
                assert!(after.downcast_ref::<Shifted>().is_some());
                let times =
                    TimestampMillisecondArray::from(vec![Some(0), None, Some(1_700_000_000_123), Some(-1)]);
                let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
                let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![times]).unwrap();
                let value = |of: &Arc<dyn PhysicalExpr>| of.evaluate(&batch).unwrap().into_array(4).unwrap();
                assert_eq!(&value(&after), &value(&before));
                assert_eq!(after.data_type(&schema).unwrap(), before.data_type(&schema).unwrap());
            }
        }
    }

    #[test]
    fn months_and_parts_of_a_unit_are_left_to_arrow() {
        for interval in [interval(1, 0, 0), interval(0, 0, 1), ScalarValue::IntervalMonthDayNano(None)] {
            let (before, schema) = plus(Operator::Plus, interval);
            assert!(shift(before, &schema).unwrap().downcast_ref::<Shifted>().is_none());
        }
    }

    #[test]
    fn what_is_out_of_range_is_told() {
        let (before, schema) = plus(Operator::Plus, interval(0, 0, 5_000_000_000));
        let after = shift(before, &schema).unwrap();
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![i64::MAX]).with_timezone("UTC"));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![times]).unwrap();
        assert!(after.evaluate(&batch).unwrap_err().to_string().contains("out of range"));
    }
}
