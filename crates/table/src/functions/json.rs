//! JSON: `JSON_VALUE`, `JSON_QUERY`, `JSON_EXISTS`, `IS JSON`, `JSON_OBJECT`, `JSON_ARRAY`, `JSON_STRING`, `JSON_QUOTE`. Their clauses are
//! arguments, see `parser/json_forms.rs`. Fields of objects come in the order of their names, as in Flink.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::Volatility;
use serde_json::Value;

use super::builtin::{Arguments, Builtin, Call, Row, Takes, as_they_are, flag, flags, pure, text, texts};
use super::json_path::JsonPath;
use crate::cast::{Casting, cast};
use crate::formats::json_value::column;
use crate::parser::parse_type;
use crate::types::{LogicalType, TypeKind};

/// A value as JSON.
pub(crate) fn json_of(values: &ArrayRef, row: usize) -> Result<String> {
    if values.is_null(row) || *values.data_type() == DataType::Null {
        return Ok("null".to_owned());
    }
    Ok(match values.data_type() {
        DataType::Utf8 => quoted(values.as_string::<i32>().value(row)),
        DataType::Boolean => values.as_boolean().value(row).to_string(),
        DataType::Int8 => values.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => values.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => values.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => values.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => {
            decimal_of(&crate::display::java_float(values.as_primitive::<Float32Type>().value(row)))
        }
        DataType::Float64 => {
            decimal_of(&crate::display::java_double(values.as_primitive::<Float64Type>().value(row)))
        }
        DataType::Decimal128(..) => values.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Binary => quoted(&STANDARD.encode(values.as_binary::<i32>().value(row))),
        DataType::Timestamp(_, zone) => {
            let shown = crate::cast::text(values, row, Tz::UTC).unwrap_or_default().replace(' ', "T");
            let shown = match shown.split_once('.') {
                // As many digits as it takes.
                Some(_) => shown.trim_end_matches('0').trim_end_matches('.').to_owned(),
                None => shown,
            };
            quoted(&if zone.is_some() { shown + "Z" } else { shown })
        }
        DataType::List(_) => {
            let items = values.as_list::<i32>().value(row);
            let items = (0..items.len()).map(|item| json_of(&items, item)).collect::<Result<Vec<_>>>()?;
            format!("[{}]", items.join(","))
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let (start, end) = (map.value_offsets()[row] as usize, map.value_offsets()[row + 1] as usize);
            let mut pairs = Vec::new();
            for at in start..end {
                let key = crate::cast::text(map.keys(), at, Tz::UTC).unwrap_or_default();
                pairs.push((key, json_of(map.values(), at)?));
            }
            object(pairs)
        }
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns().iter().zip(fields);
            let pairs = columns.map(|(column, field)| Ok((field.name().clone(), json_of(column, row)?)));
            object(pairs.collect::<Result<Vec<_>>>()?)
        }
        other => return exec_err!("{other} is no JSON: cast it to STRING"),
    })
}

/// A floating point number as Java writes it, with its exponent as JSON functions write that: only where digits do not do.
fn decimal_of(java: &str) -> String {
    let Some((mantissa, exponent)) = java.split_once('E') else { return java.to_owned() };
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let Ok(exponent) = exponent.parse::<i32>() else { return java.to_owned() };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // So many digits are behind the point.
    let behind = fraction.len() as i32 - exponent;
    if behind < 0 || exponent < -6 {
        return format!("{sign}{digits}E{exponent:+}");
    }
    let all = format!("{whole}{fraction}");
    let all = format!("{all:0>least$}", least = behind as usize + 1);
    let (whole, fraction) = all.split_at(all.len() - behind as usize);
    match fraction {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// Pairs as an object, by their names; of equal ones the last counts.
pub(crate) fn object(pairs: Vec<(String, String)>) -> String {
    let sorted: std::collections::BTreeMap<String, String> = pairs.into_iter().collect();
    let shown = sorted.iter().map(|(key, value)| format!("{}:{value}", quoted(key)));
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// The same, in ASCII: `JSON_QUOTE` writes a slash and what is beyond ASCII with a backslash.
fn quoted_in_ascii(text: &str) -> String {
    let mut ascii = String::new();
    for letter in quoted(text).chars() {
        match letter {
            '/' => ascii.push_str("\\/"),
            letter if letter.is_ascii() => ascii.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    ascii.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    ascii
}

/// With the fields of objects in order.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            object(fields.iter().map(|(name, value)| (name.clone(), shown(value))).collect())
        }
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

/// What is at a path: a value, nothing (which is an error unless the path is lax), or an error.
fn found(json: &str, path: &JsonPath) -> Result<Option<Value>, String> {
    let json: Value = match serde_json::from_str(json) {
        Ok(json) => json,
        Err(_) if path.lax => return Ok(None),
        Err(error) => return Err(format!("this is no JSON: {error}")),
    };
    if json.is_null() {
        return Err("there is no path in null".to_owned());
    }
    // A null is as good as nothing.
    match path.find(&json).filter(|value| !value.is_null()) {
        None if !path.lax => Err("there is nothing at the path".to_owned()),
        value => Ok(value),
    }
}

fn path_of(text: &str) -> Result<JsonPath> {
    match JsonPath::parse(text) {
        Some(path) => Ok(path),
        None => exec_err!("'{text}' is no path into JSON, such as 'lax $.a[0].b'"),
    }
}

/// The type that a constant argument names.
fn named(arguments: &Arguments<'_>, place: usize) -> Result<LogicalType> {
    match arguments.constants.get(place).copied().flatten() {
        Some(ScalarValue::Utf8(Some(of))) => Ok(parse_type(of)?),
        _ => plan_err!("RETURNING names a type"),
    }
}

fn named_type(arguments: &Arguments<'_>) -> Result<DataType> {
    Ok(named(arguments, 2)?.to_arrow())
}

/// Texts as values of the type that the third argument names.
fn returned(call: &Call<'_>, values: StringArray) -> Result<ArrayRef> {
    let names = call.arguments[2].as_string::<i32>();
    let Some(name) = names.iter().flatten().next() else {
        return Ok(arrow::array::new_empty_array(call.result));
    };
    let to = parse_type(name)?;
    let values: ArrayRef = Arc::new(values);
    match &to.kind {
        TypeKind::Array(_) => {
            let parsed = values.as_string::<i32>().iter();
            let parsed: Vec<Value> = parsed
                .map(|text| text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null))
                .collect();
            Ok(column(&to, &parsed.iter().collect::<Vec<_>>())?)
        }
        _ => cast(&values, &to, Casting { zone: Tz::UTC, lenient: false }),
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Whether a value is of the kind that RETURNING names.
fn is_of(value: &Value, to: &DataType) -> bool {
    match to {
        DataType::Boolean => value.is_boolean(),
        to if to.is_numeric() => value.is_number(),
        _ => true,
    }
}

fn json_value(call: &Call<'_>) -> Result<ArrayRef> {
    let default = |argument: usize, row: usize| {
        let values = &call.arguments[argument];
        crate::cast::text(values, row, Tz::UTC)
    };
    let value = |row: usize| -> Result<Option<String>> {
        let all = Row { arguments: call.arguments, row };
        let (Some(json), Some(path)) = (all.text(0), all.text(1)) else { return Ok(None) };
        let path = path_of(path)?;
        let found = match found(json, &path) {
            Ok(Some(value)) if !is_scalar(&value) && path.lax => Ok(None),
            Ok(Some(value)) if !is_scalar(&value) => Err("what is at the path is no single value".to_owned()),
            Ok(Some(Value::Null)) => Ok(None),
            other => other,
        };
        let (behaviour, place, why) = match found {
            Ok(Some(value)) if !is_of(&value, call.result) => {
                return exec_err!("JSON_VALUE: {value} is no {}, which is RETURNING", call.result);
            }
            Ok(Some(value)) => return Ok(scalar_text(&value)),
            Ok(None) => (all.text(3), 4, "there is nothing at the path".to_owned()),
            Err(why) => (all.text(5), 6, why),
        };
        match behaviour {
            Some("DEFAULT") => Ok(default(place, row)),
            Some("ERROR") => exec_err!("JSON_VALUE: {why}"),
            _ => Ok(None),
        }
    };
    returned(call, (0..call.rows).map(value).collect::<Result<StringArray>>()?)
}

fn json_query(call: &Call<'_>) -> Result<ArrayRef> {
    let value = |row: usize| -> Result<Option<String>> {
        let all = Row { arguments: call.arguments, row };
        let (Some(json), Some(path)) = (all.text(0), all.text(1)) else { return Ok(None) };
        let path = path_of(path)?;
        let found = found(json, &path).map(|value| {
            value.filter(|value| !value.is_null()).map(|value| match all.text(3) {
                Some("UNCONDITIONAL") => Value::Array(vec![value]),
                Some("CONDITIONAL") if !value.is_array() => Value::Array(vec![value]),
                _ => value,
            })
        });
        let found = match found {
            Ok(Some(value)) if is_scalar(&value) && path.lax => Ok(None),
            Ok(Some(value)) if is_scalar(&value) => {
                Err("what is at the path is no array and no object".to_owned())
            }
            other => other,
        };
        let (behaviour, why) = match found {
            Ok(Some(value)) => return Ok(Some(shown(&value))),
            Ok(None) => (all.text(4), "there is nothing at the path".to_owned()),
            Err(why) => (all.text(5), why),
        };
        match behaviour {
            Some("ARRAY") => Ok(Some("[]".to_owned())),
            Some("OBJECT") => Ok(Some("{}".to_owned())),
            Some("ERROR") => exec_err!("JSON_QUERY: {why}"),
            _ => Ok(None),
        }
    };
    returned(call, (0..call.rows).map(value).collect::<Result<StringArray>>()?)
}

fn json_exists(call: &Call<'_>) -> Result<ArrayRef> {
    let value = |row: usize| -> Result<Option<bool>> {
        let all = Row { arguments: call.arguments, row };
        let (Some(json), Some(path)) = (all.text(0), all.text(1)) else { return Ok(None) };
        match (found(json, &path_of(path)?), all.text(2)) {
            (Ok(value), _) => Ok(Some(value.is_some_and(|value| !value.is_null()))),
            (Err(_), Some("TRUE")) => Ok(Some(true)),
            (Err(_), Some("UNKNOWN")) => Ok(None),
            (Err(why), Some("ERROR")) => exec_err!("JSON_EXISTS: {why}"),
            (Err(_), _) => Ok(Some(false)),
        }
    };
    let values = (0..call.rows).map(value).collect::<Result<arrow::array::BooleanArray>>()?;
    Ok(Arc::new(values))
}

/// The values of a constructor from `first` on, each `step` arguments apart, and whether they are JSON already.
fn members(call: &Call<'_>, first: usize, step: usize, row: usize) -> Result<Vec<Option<String>>> {
    let kinds = Row { arguments: call.arguments, row }.text(1).unwrap_or_default().to_owned();
    let places = (first..call.arguments.len()).step_by(step);
    let member = |(place, kind): (usize, char)| {
        let values = &call.arguments[place];
        match (values.is_valid(row) && !values.data_type().is_null(), kind) {
            (false, _) => Ok(None),
            (true, 'r') => Ok(Some(values.as_string::<i32>().value(row).to_owned())),
            (true, _) => json_of(values, row).map(Some),
        }
    };
    places.zip(kinds.chars()).map(member).collect()
}

fn with_nulls(call: &Call<'_>, row: usize) -> bool {
    Row { arguments: call.arguments, row }.text(0) == Some("NULL")
}

const fn constructor(name: &'static str, run: fn(&Call<'_>) -> Result<ArrayRef>) -> Builtin {
    let takes = Takes::By((2, usize::MAX), as_they_are);
    Builtin { name, takes, result: text, run, volatility: Volatility::Immutable }
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    pure("$json_value", "sss***?*", named_type, json_value),
    pure("$json_query", "ssssss", named_type, json_query),
    pure("$json_exists", "sss", flag, json_exists),
    pure("$is_json", "ss", flag, |call| {
        flags(call, |row| {
            let value = row.text(0).and_then(|json| serde_json::from_str::<Value>(json).ok());
            Some(match (value, row.text(1)?) {
                (None, _) => false,
                (Some(value), "ARRAY") => value.is_array(),
                (Some(value), "OBJECT") => value.is_object(),
                (Some(value), "SCALAR") => is_scalar(&value),
                (Some(_), _) => true,
            })
        })
    }),
    constructor("$json_object", |call| {
        let made = |row: usize| {
            let values = members(call, 3, 2, row)?;
            let keys = (2..call.arguments.len()).step_by(2);
            let nulls = with_nulls(call, row);
            let mut pairs = Vec::new();
            for (key, value) in keys.zip(values) {
                let Some(key) = crate::cast::text(&call.arguments[key], row, Tz::UTC) else {
                    return exec_err!("NULL is no key of an object");
                };
                match value {
                    None if !nulls => {}
                    value => pairs.push((key, value.unwrap_or_else(|| "null".to_owned()))),
                }
            }
            Ok(Some(object(pairs)))
        };
        Ok(Arc::new((0..call.rows).map(made).collect::<Result<StringArray>>()?))
    }),
    constructor("$json_array", |call| {
        let made = |row: usize| {
            let nulls = with_nulls(call, row);
            let values = members(call, 2, 1, row)?.into_iter();
            let values: Vec<String> =
                values.filter_map(|value| value.or_else(|| nulls.then(|| "null".to_owned()))).collect();
            Ok(Some(format!("[{}]", values.join(","))))
        };
        Ok(Arc::new((0..call.rows).map(made).collect::<Result<StringArray>>()?))
    }),
    pure("JSON_STRING", "*", text, |call| {
        let values = &call.arguments[0];
        let value = |row: usize| values.is_valid(row).then(|| json_of(values, row)).transpose();
        Ok(Arc::new((0..call.rows).map(value).collect::<Result<StringArray>>()?))
    }),
    // Stands within JSON_OBJECT and JSON_ARRAY, which take its argument as it is.
    pure("JSON", "s", text, |call| {
        let texts = call.arguments[0].as_string::<i32>().iter();
        let parsed = texts.map(|text| match text.map(serde_json::from_str::<Value>) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(shown(&value))),
            Some(Err(error)) => exec_err!("JSON: this is no JSON: {error}"),
        });
        Ok(Arc::new(parsed.collect::<Result<StringArray>>()?))
    }),
    pure("JSON_QUOTE", "s", text, |call| texts(call, |row| Some(quoted_in_ascii(row.text(0)?)))),
    pure("JSON_UNQUOTE", "s", text, |call| {
        texts(call, |row| {
            let text = row.text(0)?;
            Some(match serde_json::from_str::<Value>(text) {
                Ok(Value::String(inside)) => inside,
                _ => text.to_owned(),
            })
        })
    }),
];
