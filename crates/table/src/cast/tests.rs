use super::*;
use crate::types::LogicalType;

fn of(kind: TypeKind) -> LogicalType {
    LogicalType { kind, nullable: true }
}

fn all(values: ArrayRef, kind: TypeKind, lenient: bool) -> Result<Vec<Option<String>>> {
    let casting = Casting { zone: Tz::UTC, lenient };
    let made = cast(&values, &of(kind), casting)?;
    Ok((0..made.len()).map(|row| text(&made, row, Tz::UTC)).collect())
}

fn strings(all: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(all.to_vec()))
}

#[test]
fn what_cannot_be_read_is_null_or_an_error() {
    let read = all(strings(&["1.9", "x", " 7 "]), TypeKind::Int, true);
    assert_eq!(read.ok(), Some(vec![Some("1".into()), None, Some("7".into())]));
    let error = all(strings(&["x"]), TypeKind::Int, false).map_err(|error| error.strip_backtrace());
    assert!(error.is_err_and(|error| error.contains("'x' is no INT")));
}

#[test]
fn decimals_are_rounded_half_up_and_do_not_overflow() {
    let read = all(strings(&["1.005", "-1.005", "999.995", "1e2"]), TypeKind::Decimal(5, 2), true);
    let wanted = ["1.01", "-1.01", "", "100.00"].map(|text| (!text.is_empty()).then(|| text.to_owned()));
    assert_eq!(read.ok(), Some(wanted.to_vec()));
    let doubles: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![2.5, 1.005, f64::NAN]));
    let read = all(doubles, TypeKind::Decimal(5, 2), true);
    assert_eq!(read.ok(), Some(vec![Some("2.50".into()), Some("1.01".into()), None]));
}

#[test]
fn times_keep_the_digits_of_their_type() {
    let read = all(strings(&["2020-01-02 03:04:05.6789"]), TypeKind::Timestamp(2), false);
    assert_eq!(read.ok(), Some(vec![Some("2020-01-02 03:04:05.670".into())]));
}
