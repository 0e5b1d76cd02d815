//! Arrays and maps. Items count from one; NULL is a value like any other in an array, and an array that is NULL gives NULL.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, MapArray, StringArray, StructArray,
    UInt32Array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::Volatility;
use datafusion_expr::type_coercion::binary::type_union_coercion;

use super::builtin::{Arguments, Builtin, Call, Takes};

fn item_of(list: &DataType) -> Result<DataType> {
    match list {
        DataType::List(item) => Ok(item.data_type().clone()),
        DataType::Null => Ok(DataType::Null),
        other => plan_err!("{other} is no array"),
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Field::new("item", item, true).into())
}

fn map_of(key: DataType, value: DataType) -> DataType {
    let entries = Fields::from(vec![Field::new("key", key, false), Field::new("value", value, true)]);
    DataType::Map(Field::new("entries", DataType::Struct(entries), false).into(), false)
}

fn common(types: impl IntoIterator<Item = DataType>) -> Result<DataType> {
    let mut all = types.into_iter();
    let first = all.next().unwrap_or(DataType::Null);
    all.try_fold(first, |of, other| match type_union_coercion(&of, &other) {
        Some(of) => Ok(of),
        None => plan_err!("{of} and {other} have no type in common"),
    })
}

/// Arrays of one type.
fn lists(types: &[DataType]) -> Result<Vec<DataType>> {
    let item = common(types.iter().map(item_of).collect::<Result<Vec<_>>>()?)?;
    Ok(vec![list_of(item); types.len()])
}

/// An array and an item of it.
fn list_and_item(types: &[DataType]) -> Result<Vec<DataType>> {
    let item = common([item_of(&types[0])?, types[1].clone()])?;
    Ok(vec![list_of(item.clone()), item])
}

fn list_and(types: &[DataType], others: DataType) -> Result<Vec<DataType>> {
    let mut all = vec![list_of(item_of(&types[0])?)];
    all.extend(types[1..].iter().map(|_| others.clone()));
    Ok(all)
}

/// All values that the arguments have, one behind the other, and what tells them apart.
struct Pool<'a> {
    values: ArrayRef,
    keys: Rows,
    /// Of each argument where its values begin.
    begins: Vec<u32>,
    arguments: &'a [ArrayRef],
}

impl<'a> Pool<'a> {
    fn new(arguments: &'a [ArrayRef]) -> Result<Self> {
        let (mut parts, mut begins, mut next): (Vec<&dyn Array>, _, _) = (Vec::new(), Vec::new(), 0);
        for argument in arguments {
            let part: &dyn Array = match argument.data_type() {
                DataType::List(_) if argument.data_type() == arguments[0].data_type() => {
                    argument.as_list::<i32>().values().as_ref()
                }
                _ => argument.as_ref(),
            };
            begins.push(next);
            next += part.len() as u32;
            parts.push(part);
        }
        let values = concat(&parts)?;
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
        let keys = converter.convert_columns(std::slice::from_ref(&values))?;
        Ok(Self { values, keys, begins, arguments })
    }

    /// The places of the items of an array; none, if it is NULL.
    fn list(&self, argument: usize, row: usize) -> Option<Vec<u32>> {
        let list = self.arguments[argument].as_list::<i32>();
        let place = |at: i32| at as u32 + self.begins[argument];
        let offsets = list.value_offsets();
        list.is_valid(row).then(|| (offsets[row]..offsets[row + 1]).map(place).collect())
    }

    /// The place of an argument that is an item.
    fn item(&self, argument: usize, row: usize) -> u32 {
        self.begins[argument] + row as u32
    }

    fn equal(&self, a: u32, b: u32) -> bool {
        self.keys.row(a as usize) == self.keys.row(b as usize)
    }

    fn is_null(&self, place: u32) -> bool {
        self.values.is_null(place as usize)
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        self.keys.row(a as usize).cmp(&self.keys.row(b as usize))
    }

    fn has(&self, all: &[u32], item: u32) -> bool {
        all.iter().any(|other| self.equal(*other, item))
    }

    /// Each value once, as it came first.
    fn distinct(&self, all: &[u32]) -> Vec<u32> {
        let mut once: Vec<u32> = Vec::with_capacity(all.len());
        for item in all {
            if !self.has(&once, *item) {
                once.push(*item);
            }
        }
        once
    }
}

/// An array for each row, out of the values of the arguments.
fn arrays(
    call: &Call<'_>,
    arguments: usize,
    of: impl Fn(&Pool<'_>, usize) -> Option<Vec<u32>>,
) -> Result<ArrayRef> {
    let pool = Pool::new(&call.arguments[..arguments])?;
    let rows: Vec<Option<Vec<u32>>> = (0..call.rows).map(|row| of(&pool, row)).collect();
    let DataType::List(field) = call.result else { return exec_err!("{} is no array", call.result) };
    let places: UInt32Array = rows.iter().flatten().flatten().copied().collect();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)));
    let valid: NullBuffer = rows.iter().map(Option::is_some).collect();
    Ok(Arc::new(ListArray::try_new(field.clone(), offsets, take(&pool.values, &places, None)?, Some(valid))?))
}

/// An item for each row, or none.
fn items(call: &Call<'_>, of: impl Fn(&Pool<'_>, usize) -> Result<Option<u32>>) -> Result<ArrayRef> {
    let pool = Pool::new(&call.arguments[..1])?;
    let places = (0..call.rows).map(|row| of(&pool, row)).collect::<Result<UInt32Array>>()?;
    Ok(take(&pool.values, &places, None)?)
}

fn first_type(arguments: &Arguments<'_>) -> Result<DataType> {
    Ok(arguments.types[0].clone())
}

fn item_type(arguments: &Arguments<'_>) -> Result<DataType> {
    item_of(&arguments.types[0])
}

const fn function(
    name: &'static str,
    takes: Takes,
    result: fn(&Arguments<'_>) -> Result<DataType>,
    run: fn(&Call<'_>) -> Result<ArrayRef>,
) -> Builtin {
    Builtin { name, takes, result, run, volatility: Volatility::Immutable }
}

const ONE_LIST: Takes = Takes::By((1, 1), lists);
const LISTS: Takes = Takes::By((2, 2), lists);
const LIST_AND_ITEM: Takes = Takes::By((2, 2), list_and_item);

/// The argument as a number.
fn number(call: &Call<'_>, argument: usize, row: usize) -> Option<i64> {
    let values = call.arguments.get(argument)?.as_primitive::<Int64Type>();
    values.is_valid(row).then(|| values.value(row))
}

fn flag(call: &Call<'_>, argument: usize, row: usize) -> Option<bool> {
    let values = call.arguments[argument].as_boolean();
    values.is_valid(row).then(|| values.value(row))
}

fn text(call: &Call<'_>, argument: usize, row: usize) -> Option<String> {
    let values = call.arguments.get(argument)?.as_string::<i32>();
    values.is_valid(row).then(|| values.value(row).to_owned())
}

/// The number that an item counts as, from the front or (negative) from the back.
fn counted(number: i64, length: i64) -> i64 {
    match number {
        number if number < 0 => length + number + 1,
        number => number,
    }
}

fn slice(pool: &Pool<'_>, call: &Call<'_>, row: usize) -> Option<Vec<u32>> {
    let all = pool.list(0, row)?;
    let length = all.len() as i64;
    let start = counted(number(call, 1, row)?, length).max(1);
    let end = match call.arguments.len() {
        2 => length,
        _ => counted(number(call, 2, row)?, length),
    };
    Some(match start <= end.min(length) {
        true => all[start as usize - 1..end.min(length) as usize].to_vec(),
        false => Vec::new(),
    })
}

fn sorted(pool: &Pool<'_>, call: &Call<'_>, row: usize) -> Option<Vec<u32>> {
    let all = pool.list(0, row)?;
    let ascending = if call.arguments.len() > 1 { flag(call, 1, row)? } else { true };
    let nulls_first = if call.arguments.len() > 2 { flag(call, 2, row)? } else { ascending };
    let (nulls, mut values): (Vec<u32>, Vec<u32>) = all.into_iter().partition(|place| pool.is_null(*place));
    values.sort_by(|a, b| if ascending { pool.compare(*a, *b) } else { pool.compare(*b, *a) });
    Some(if nulls_first { [nulls, values].concat() } else { [values, nulls].concat() })
}

fn extreme(call: &Call<'_>, wanted: Ordering) -> Result<ArrayRef> {
    items(call, |pool, row| {
        let Some(all) = pool.list(0, row) else { return Ok(None) };
        let values = all.into_iter().filter(|place| !pool.is_null(*place));
        Ok(values.reduce(|best, other| if pool.compare(other, best) == wanted { other } else { best }))
    })
}

/// A map for each row, out of keys and values; none, if it is NULL.
fn maps(
    call: &Call<'_>,
    (keys, values): (&ArrayRef, &ArrayRef),
    rows: &[Option<Vec<(u32, u32)>>],
) -> Result<ArrayRef> {
    let DataType::Map(entries, _) = call.result else { return exec_err!("{} is no map", call.result) };
    let DataType::Struct(fields) = entries.data_type() else { return exec_err!("{} is no map", call.result) };
    let pairs = || rows.iter().flatten().flatten();
    let keys = take(keys, &pairs().map(|(key, _)| Some(*key)).collect::<UInt32Array>(), None)?;
    let values = take(values, &pairs().map(|(_, value)| Some(*value)).collect::<UInt32Array>(), None)?;
    if keys.null_count() > 0 {
        return exec_err!("NULL is no key of a map");
    }
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)));
    let valid: NullBuffer = rows.iter().map(Option::is_some).collect();
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, Some(valid), false)?))
}

/// The types of the keys and of the values of a map.
fn pair_of(map: &DataType) -> Result<(DataType, DataType)> {
    if let DataType::Map(entries, _) = map
        && let DataType::Struct(fields) = entries.data_type()
    {
        return Ok((fields[0].data_type().clone(), fields[1].data_type().clone()));
    }
    plan_err!("{map} is no map")
}

/// `MAP[k, v, …]`.
/// Of equal keys the last value counts.
fn map(call: &Call<'_>) -> Result<ArrayRef> {
    let column = |from: usize| {
        let columns = call.arguments.iter().skip(from).step_by(2).map(|column| column.as_ref());
        concat(&columns.collect::<Vec<_>>())
    };
    let (keys, values) = (column(0)?, column(1)?);
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
    let known = converter.convert_columns(std::slice::from_ref(&keys))?;
    let count = call.arguments.len() / 2;
    let pairs = |row: usize| {
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(count);
        for place in (0..count).map(|pair| pair * call.rows + row) {
            match pairs.iter_mut().find(|(key, _)| known.row(*key as usize) == known.row(place)) {
                Some((_, value)) => *value = place as u32,
                None => pairs.push((place as u32, place as u32)),
            }
        }
        Some(pairs)
    };
    maps(call, (&keys, &values), &(0..call.rows).map(pairs).collect::<Vec<_>>())
}

/// The pairs of all maps of a row; of equal keys the last counts.
fn union(call: &Call<'_>) -> Result<ArrayRef> {
    let all: Vec<&MapArray> = call.arguments.iter().map(|column| column.as_map()).collect();
    let keys = concat(&all.iter().map(|map| map.keys().as_ref()).collect::<Vec<_>>())?;
    let values = concat(&all.iter().map(|map| map.values().as_ref()).collect::<Vec<_>>())?;
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
    let known = converter.convert_columns(std::slice::from_ref(&keys))?;
    let pairs = |row: usize| {
        let (mut pairs, mut begin): (Vec<(u32, u32)>, u32) = (Vec::new(), 0);
        for map in &all {
            if map.is_null(row) {
                return None;
            }
            for at in map.value_offsets()[row] as u32..map.value_offsets()[row + 1] as u32 {
                let place = begin + at;
                pairs.retain(|(key, _)| known.row(*key as usize) != known.row(place as usize));
                pairs.push((place, place));
            }
            begin += map.keys().len() as u32;
        }
        Some(pairs)
    };
    let rows: Vec<_> = (0..call.rows).map(pairs).collect();
    maps(call, (&keys, &values), &rows)
}

/// What is in the maps of each row, as arrays of `values`.
fn of_maps(call: &Call<'_>, values: impl Fn(&MapArray) -> ArrayRef) -> Result<ArrayRef> {
    let DataType::List(field) = call.result else { return exec_err!("{} is no array", call.result) };
    let map = call.arguments[0].as_map();
    let values = arrow::compute::cast(&values(map), field.data_type())?;
    Ok(Arc::new(ListArray::try_new(field.clone(), map.offsets().clone(), values, map.nulls().cloned())?))
}

fn one_map(types: &[DataType]) -> Result<Vec<DataType>> {
    pair_of(&types[0])?;
    Ok(types.to_vec())
}

/// The parts of a text, as an array for each row.
fn split(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::List(field) = call.result else { return exec_err!("{} is no array", call.result) };
    let (texts, between) = (call.arguments[0].as_string::<i32>(), call.arguments[1].as_string::<i32>());
    // Parts are no longer than what they are parts of, so their places fit.
    let mut bytes: Vec<u8> = Vec::with_capacity(texts.value_data().len());
    let mut ends: Vec<i32> = Vec::with_capacity(call.rows * 8);
    ends.push(0);
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let before = ends.len();
        let is_valid = texts.is_valid(row) && between.is_valid(row);
        if is_valid {
            let (text, between) = (texts.value(row), between.value(row));
            let mut append = |part: &[u8]| {
                bytes.extend_from_slice(part);
                ends.push(bytes.len() as i32);
            };
            match between.as_bytes() {
                [] => text.chars().for_each(|letter| append(letter.encode_utf8(&mut [0; 4]).as_bytes())),
                // A letter is found faster than a text; one of a single byte is no part of another letter.
                [letter] => text.as_bytes().split(|byte| byte == letter).for_each(append),
                _ => text.split(between).for_each(|part| append(part.as_bytes())),
            }
        }
        lengths.push(ends.len() - before);
        valid.push(is_valid);
    }
    let values = StringArray::try_new(OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes), None)?;
    let (offsets, values) = (OffsetBuffer::from_lengths(lengths), Arc::new(values));
    Ok(Arc::new(ListArray::try_new(field.clone(), offsets, values, Some(NullBuffer::from(valid)))?))
}

fn texts_type(_: &Arguments<'_>) -> Result<DataType> {
    Ok(list_of(DataType::Utf8))
}

fn parts(text: &str, between: &str) -> Vec<String> {
    match between.is_empty() {
        true => text.chars().map(String::from).collect(),
        false => text.split(between).map(str::to_owned).collect(),
    }
}

fn text_to_map(call: &Call<'_>) -> Result<ArrayRef> {
    let (mut keys, mut values, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..call.rows {
        let given = |argument: usize, otherwise: &str| match call.arguments.len() > argument {
            true => text(call, argument, row),
            false => Some(otherwise.to_owned()),
        };
        let (Some(text), Some(between), Some(is)) = (text(call, 0, row), given(1, ","), given(2, "=")) else {
            rows.push(None);
            continue;
        };
        let mut pairs = Vec::new();
        for part in parts(&text, &between) {
            let (key, value) =
                part.split_once(is.as_str()).map_or((part.as_str(), None), |(k, v)| (k, Some(v)));
            pairs.push((keys.len() as u32, values.len() as u32));
            keys.push(key.to_owned());
            values.push(value.map(str::to_owned));
        }
        rows.push(Some(pairs));
    }
    let keys: ArrayRef = Arc::new(StringArray::from(keys));
    let values: ArrayRef = Arc::new(StringArray::from(values));
    maps(call, (&keys, &values), &rows)
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    function("ELEMENT", ONE_LIST, item_type, |call| {
        items(call, |pool, row| match pool.list(0, row).as_deref() {
            None | Some([]) => Ok(None),
            Some([item]) => Ok(Some(*item)),
            Some(_) => exec_err!("ELEMENT takes an array of one item, and this has more"),
        })
    }),
    function("ARRAY_APPEND", LIST_AND_ITEM, first_type, |call| {
        arrays(call, 2, |pool, row| Some([pool.list(0, row)?, vec![pool.item(1, row)]].concat()))
    }),
    function("ARRAY_PREPEND", LIST_AND_ITEM, first_type, |call| {
        arrays(call, 2, |pool, row| Some([vec![pool.item(1, row)], pool.list(0, row)?].concat()))
    }),
    function("ARRAY_REMOVE", LIST_AND_ITEM, first_type, |call| {
        arrays(call, 2, |pool, row| {
            let item = pool.item(1, row);
            Some(pool.list(0, row)?.into_iter().filter(|other| !pool.equal(*other, item)).collect())
        })
    }),
    function("ARRAY_CONTAINS", LIST_AND_ITEM, super::builtin::flag, |call| {
        let pool = Pool::new(call.arguments)?;
        let has = |row| Some(pool.has(&pool.list(0, row)?, pool.item(1, row)));
        Ok(Arc::new((0..call.rows).map(has).collect::<BooleanArray>()))
    }),
    function("ARRAY_POSITION", LIST_AND_ITEM, super::builtin::int, |call| {
        let pool = Pool::new(call.arguments)?;
        let place = |row| {
            let (all, item) = (pool.list(0, row)?, pool.item(1, row));
            if pool.is_null(item) {
                return None;
            }
            Some(all.iter().position(|other| pool.equal(*other, item)).map_or(0, |place| place as i32 + 1))
        };
        Ok(Arc::new((0..call.rows).map(place).collect::<Int32Array>()))
    }),
    function("ARRAY_DISTINCT", ONE_LIST, first_type, |call| {
        arrays(call, 1, |pool, row| Some(pool.distinct(&pool.list(0, row)?)))
    }),
    function("ARRAY_REVERSE", ONE_LIST, first_type, |call| {
        arrays(call, 1, |pool, row| Some(pool.list(0, row)?.into_iter().rev().collect()))
    }),
    function("ARRAY_UNION", LISTS, first_type, |call| {
        arrays(call, 2, |pool, row| Some(pool.distinct(&[pool.list(0, row)?, pool.list(1, row)?].concat())))
    }),
    function("ARRAY_CONCAT", Takes::By((1, usize::MAX), lists), first_type, |call| {
        arrays(call, call.arguments.len(), |pool, row| {
            let all = (0..call.arguments.len()).map(|argument| pool.list(argument, row));
            Some(all.collect::<Option<Vec<_>>>()?.concat())
        })
    }),
    function("ARRAY_EXCEPT", LISTS, first_type, |call| {
        arrays(call, 2, |pool, row| {
            let without = pool.list(1, row)?;
            let mut left = pool.list(0, row)?;
            left.retain(|item| !pool.has(&without, *item));
            Some(pool.distinct(&left))
        })
    }),
    function("ARRAY_INTERSECT", LISTS, first_type, |call| {
        arrays(call, 2, |pool, row| {
            let others = pool.list(1, row)?;
            let mut both = pool.list(0, row)?;
            both.retain(|item| pool.has(&others, *item));
            Some(pool.distinct(&both))
        })
    }),
    function("ARRAY_MAX", ONE_LIST, item_type, |call| extreme(call, Ordering::Greater)),
    function("ARRAY_MIN", ONE_LIST, item_type, |call| extreme(call, Ordering::Less)),
    function(
        "ARRAY_SLICE",
        Takes::By((2, 3), |types| list_and(types, DataType::Int64)),
        first_type,
        |call| arrays(call, 1, |pool, row| slice(pool, call, row)),
    ),
    function(
        "ARRAY_SORT",
        Takes::By((1, 3), |types| list_and(types, DataType::Boolean)),
        first_type,
        |call| arrays(call, 1, |pool, row| sorted(pool, call, row)),
    ),
    function(
        "ARRAY_JOIN",
        Takes::By((2, 3), |types| {
            let mut all = vec![list_of(DataType::Utf8)];
            all.extend(types[1..].iter().map(|_| DataType::Utf8));
            Ok(all)
        }),
        super::builtin::text,
        |call| {
            let joined = |row: usize| {
                let list = call.arguments[0].as_list::<i32>();
                if list.is_null(row) {
                    return None;
                }
                let between = text(call, 1, row)?;
                let null = if call.arguments.len() > 2 { Some(text(call, 2, row)?) } else { None };
                let items = list.value(row);
                let items = items.as_string::<i32>().iter();
                let shown = items.filter_map(|item| item.map(str::to_owned).or_else(|| null.clone()));
                Some(shown.collect::<Vec<_>>().join(&between))
            };
            Ok(Arc::new((0..call.rows).map(joined).collect::<StringArray>()))
        },
    ),
    function("SPLIT", Takes::Letters("ss"), texts_type, split),
    function(
        "STR_TO_MAP",
        Takes::Letters("s?ss"),
        |_| Ok(map_of(DataType::Utf8, DataType::Utf8)),
        text_to_map,
    ),
    function(
        "$map",
        Takes::By((2, usize::MAX), |types| {
            let key = common(types.iter().step_by(2).cloned())?;
            let value = common(types.iter().skip(1).step_by(2).cloned())?;
            Ok((0..types.len())
                .map(|place| if place % 2 == 0 { key.clone() } else { value.clone() })
                .collect())
        }),
        |arguments| Ok(map_of(arguments.types[0].clone(), arguments.types[1].clone())),
        map,
    ),
    function(
        "MAP_KEYS",
        Takes::By((1, 1), one_map),
        |arguments| Ok(list_of(pair_of(&arguments.types[0])?.0)),
        |call| of_maps(call, |map| map.keys().clone()),
    ),
    function(
        "MAP_VALUES",
        Takes::By((1, 1), one_map),
        |arguments| Ok(list_of(pair_of(&arguments.types[0])?.1)),
        |call| of_maps(call, |map| map.values().clone()),
    ),
    function(
        "MAP_ENTRIES",
        Takes::By((1, 1), one_map),
        |arguments| {
            let (key, value) = pair_of(&arguments.types[0])?;
            let fields = vec![Field::new("key", key, true), Field::new("value", value, true)];
            Ok(list_of(DataType::Struct(fields.into())))
        },
        |call| of_maps(call, |map| Arc::new(map.entries().clone())),
    ),
    function(
        "MAP_FROM_ARRAYS",
        Takes::By((2, 2), |types| types.iter().map(|of| Ok(list_of(item_of(of)?))).collect()),
        |arguments| Ok(map_of(item_of(&arguments.types[0])?, item_of(&arguments.types[1])?)),
        |call| {
            let (keys, values) = (call.arguments[0].as_list::<i32>(), call.arguments[1].as_list::<i32>());
            let mut rows = Vec::with_capacity(call.rows);
            for row in 0..call.rows {
                if keys.is_null(row) || values.is_null(row) {
                    rows.push(None);
                    continue;
                }
                if keys.value_length(row) != values.value_length(row) {
                    return exec_err!("MAP_FROM_ARRAYS takes as many keys as values");
                }
                let pairs = 0..keys.value_length(row);
                let place = |offsets: &[i32], at: i32| (offsets[row] + at) as u32;
                rows.push(Some(
                    pairs
                        .map(|at| (place(keys.value_offsets(), at), place(values.value_offsets(), at)))
                        .collect(),
                ));
            }
            maps(call, (keys.values(), values.values()), &rows)
        },
    ),
    function("MAP_UNION", Takes::By((1, usize::MAX), one_map), first_type, union),
];
