//! CSV: a line for each row.

use arrow::array::{Array, ArrayRef};
use serde_json::Value;

use super::{Field, Format, column_of_valid, decoded};
use crate::chunk::Chunk;
use crate::display::display;
use crate::error::SqlError;

pub(super) struct Csv {
    fields: Vec<Field>,
    delimiter: char,
    quote: Option<char>,
    null: Option<String>,
    ignore_errors: bool,
}

impl Csv {
    pub(super) fn new(
        fields: Vec<Field>,
        delimiter: char,
        quote: Option<char>,
        null: Option<String>,
        ignore_errors: bool,
    ) -> Self {
        Self { fields, delimiter, quote, null, ignore_errors }
    }

    /// The fields of a line, each with whether it stood between quotes.
    fn split(&self, line: &str) -> Vec<(String, bool)> {
        let (mut fields, mut field, mut quoted, mut inside) = (Vec::new(), String::new(), false, false);
        let mut letters = line.trim_end_matches(['\r', '\n']).chars().peekable();
        while let Some(letter) = letters.next() {
            if Some(letter) == self.quote {
                // Two quotes within quotes are one that belongs to the text.
                if inside && letters.peek() == Some(&letter) {
                    letters.next();
                    field.push(letter);
                } else {
                    inside = !inside;
                    quoted = true;
                }
            } else if letter == self.delimiter && !inside {
                fields.push((std::mem::take(&mut field), std::mem::take(&mut quoted)));
            } else {
                field.push(letter);
            }
        }
        fields.push((field, quoted));
        fields
    }
}

impl Format for Csv {
    fn decode(&self, records: &[&[u8]]) -> Result<(Vec<ArrayRef>, Option<Vec<bool>>), SqlError> {
        let mut valid = vec![true; records.len()];
        let mut lines = Vec::with_capacity(records.len());
        for (record, valid) in records.iter().zip(&mut valid) {
            let fields = std::str::from_utf8(record).map(|line| self.split(line)).unwrap_or_default();
            if fields.len() != self.fields.len() {
                if !self.ignore_errors {
                    let text = String::from_utf8_lossy(&record[..record.len().min(200)]);
                    let (found, wanted) = (fields.len(), self.fields.len());
                    return Err(SqlError::new(format!(
                        "a line has {found} fields, and not {wanted}: {text}"
                    ))
                    .help("'csv.ignore-parse-errors' = 'true' leaves such records out"));
                }
                *valid = false;
            }
            lines.push(fields);
        }
        let mut columns = Vec::with_capacity(self.fields.len());
        for (place, field) in self.fields.iter().enumerate() {
            let is_text = field.1.to_arrow() == arrow::datatypes::DataType::Utf8;
            let values: Vec<Value> = lines
                .iter()
                .map(|fields| match fields.get(place) {
                    Some((text, _)) if self.null.as_deref() == Some(text) => Value::Null,
                    // Nothing is no number and no time.
                    Some((text, quoted)) if text.is_empty() && !is_text && !quoted => Value::Null,
                    Some((text, _)) => Value::String(text.clone()),
                    None => Value::Null,
                })
                .collect();
            let values: Vec<&Value> = values.iter().collect();
            columns.push(column_of_valid(field, &values, &mut valid, self.ignore_errors)?);
        }
        Ok(decoded(columns, valid))
    }

    fn encode(
        &self,
        chunk: &Chunk,
        columns: &[usize],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        for (place, column) in columns.iter().enumerate() {
            let values = chunk.rows().column(*column);
            if place > 0 {
                out.extend_from_slice(self.delimiter.encode_utf8(&mut [0; 4]).as_bytes());
            }
            if values.is_null(row) {
                out.extend_from_slice(self.null.as_deref().unwrap_or_default().as_bytes());
                continue;
            }
            let text = match values.data_type() {
                arrow::datatypes::DataType::Timestamp(..) => crate::display::sql_timestamp(values, row),
                _ => display(values, row),
            };
            match self.quote {
                Some(quote) if text.contains([self.delimiter, quote, '\n', ' ']) => {
                    let doubled = text.replace(quote, &format!("{quote}{quote}"));
                    out.extend_from_slice(format!("{quote}{doubled}{quote}").as_bytes());
                }
                _ => out.extend_from_slice(text.as_bytes()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_a_field_together() {
        let csv = Csv::new(Vec::new(), ',', Some('"'), None, false);
        let texts = |line: &str| csv.split(line).into_iter().map(|(text, _)| text).collect::<Vec<_>>();
        assert_eq!(texts("a,\"b,c\",\"d\"\"e\"\n"), ["a", "b,c", "d\"e"]);
        assert_eq!(texts(""), [""]);
    }
}
