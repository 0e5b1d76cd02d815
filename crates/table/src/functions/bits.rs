//! Numbers as bits and digits: `HEX`, `UNHEX`, `BIN`, `CONV`, and chance.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int32Array};
use arrow::compute::kernels::numeric::neg_wrapping;
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result, plan_err};
use datafusion_expr::Volatility;

use super::builtin::{Builtin, Call, Takes, float, int, pure, text, texts};

/// Digits of a number as Java's `Long.toString(n, base)` writes them.
fn digits(number: u64, base: u32) -> String {
    let (mut text, mut rest) = (Vec::new(), number);
    loop {
        // A digit is less than the base, which is 36 at most.
        text.push(
            char::from_digit((rest % u64::from(base)) as u32, base).unwrap_or('0').to_ascii_uppercase(),
        );
        rest /= u64::from(base);
        if rest == 0 {
            break;
        }
    }
    text.iter().rev().collect()
}

/// A number in another base; with a negative base as a signed one, else as 64 bits.
fn conv(text: &str, from: i64, to: i64) -> Option<String> {
    let (from, base) = (u32::try_from(from.abs()).ok()?, u32::try_from(to.abs()).ok()?);
    if !(2..=36).contains(&from) || !(2..=36).contains(&base) {
        return None;
    }
    let text = text.trim();
    let (negative, number) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    // Up to the first that is no digit.
    let mut value: u64 = 0;
    for digit in number.chars().map_while(|letter| letter.to_digit(from)) {
        value = value
            .checked_mul(from.into())
            .and_then(|value| value.checked_add(digit.into()))
            .unwrap_or(u64::MAX);
    }
    let bits = if negative { (value as i64).wrapping_neg() as u64 } else { value };
    Some(match to < 0 && (bits as i64) < 0 {
        true => format!("-{}", digits((bits as i64).unsigned_abs(), base)),
        false => digits(bits, base),
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_owned() };
    let pair = |pair: &[u8]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
    };
    padded.as_bytes().chunks(2).map(pair).collect()
}

fn hex(call: &Call<'_>) -> Result<ArrayRef> {
    match call.arguments[0].data_type() {
        DataType::Utf8 => texts(call, |row| {
            Some(row.text(0)?.bytes().map(|byte| format!("{byte:02X}")).collect::<String>())
        }),
        _ => texts(call, |row| Some(format!("{:X}", row.int(0)?))),
    }
}

/// The next number of a sequence that a seed begins (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number between 0 and 1 for each row. A seed begins the sequence anew with each chunk.
fn chances(call: &Call<'_>, seed: Option<&ArrayRef>) -> Vec<f64> {
    let given = seed.and_then(|seed| {
        let seed = arrow::compute::cast(seed, &DataType::Int64).ok()?;
        let seed = seed.as_primitive::<Int64Type>();
        (!seed.is_empty() && seed.is_valid(0)).then(|| seed.value(0) as u64)
    });
    let mut state = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    (0..call.rows).map(|_| (next(&mut state) >> 11) as f64 / (1_u64 << 53) as f64).collect()
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin {
        name: "$negate",
        takes: Takes::Letters("*"),
        result: |arguments| Ok(arguments.types[0].clone()),
        run: |call| Ok(neg_wrapping(&call.arguments[0])?),
        volatility: Volatility::Immutable,
    },
    pure("BIN", "i", text, |call| texts(call, |row| Some(format!("{:b}", row.int(0)?)))),
    Builtin {
        name: "HEX",
        takes: Takes::By((1, 1), |types| match &types[0] {
            DataType::Utf8 => Ok(vec![DataType::Utf8]),
            of if of.is_integer() || of.is_null() => Ok(vec![DataType::Int64]),
            other => plan_err!("HEX takes a whole number or a string, not {other}"),
        }),
        result: text,
        run: hex,
        volatility: Volatility::Immutable,
    },
    pure(
        "UNHEX",
        "s",
        |_| Ok(DataType::Binary),
        |call| {
            let texts = call.arguments[0].as_string::<i32>();
            Ok(Arc::new(texts.iter().map(|text| text.and_then(unhex)).collect::<BinaryArray>()))
        },
    ),
    pure("CONV", "sii", text, |call| texts(call, |row| conv(row.text(0)?, row.int(1)?, row.int(2)?))),
    Builtin {
        name: "RAND",
        takes: Takes::Letters("?i"),
        result: float,
        run: |call| Ok(Arc::new(Float64Array::from(chances(call, call.arguments.first())))),
        volatility: Volatility::Volatile,
    },
    Builtin {
        name: "RAND_INTEGER",
        takes: Takes::Letters("i?i"),
        result: int,
        run: |call| {
            let (seed, bounds) = match call.arguments {
                [seed, bound] => (Some(seed), bound),
                all => (None, &all[0]),
            };
            let bounds = bounds.as_primitive::<Int64Type>();
            let chances = chances(call, seed);
            let number = |(row, chance): (usize, &f64)| {
                bounds.is_valid(row).then(|| (chance * bounds.value(row) as f64) as i32)
            };
            Ok(Arc::new(chances.iter().enumerate().map(number).collect::<Int32Array>()))
        },
        volatility: Volatility::Volatile,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_change_their_base() {
        assert_eq!(conv("100", 2, 10).as_deref(), Some("4"));
        assert_eq!(conv("-15", 10, -16).as_deref(), Some("-F"));
        assert_eq!(conv("-1", 10, 16).as_deref(), Some("FFFFFFFFFFFFFFFF"));
        assert_eq!(unhex("616"), Some(vec![6, 0x16]));
        assert_eq!(unhex("xy"), None);
    }
}
