//! Strings.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::Volatility;

use super::builtin::{Builtin, Call, strings};

fn each(call: &Call<'_>, change: impl Fn(&str) -> String) -> Result<ArrayRef> {
    let texts = call.arguments[0].as_string::<i32>();
    Ok(Arc::new(texts.iter().map(|text| text.map(&change)).collect::<StringArray>()))
}

pub(super) static FUNCTIONS: [Builtin; 2] = [
    Builtin {
        name: "UPPER",
        arity: (1, 1),
        coerce: strings,
        result: |_| Ok(DataType::Utf8),
        run: |call| each(call, str::to_uppercase),
        volatility: Volatility::Immutable,
    },
    Builtin {
        name: "LOWER",
        arity: (1, 1),
        coerce: strings,
        result: |_| Ok(DataType::Utf8),
        run: |call| each(call, str::to_lowercase),
        volatility: Volatility::Immutable,
    },
];
