//! The bytes of a record as they are: one column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::datatypes::DataType;

use super::{Field, Format};
use crate::chunk::Chunk;
use crate::error::SqlError;

pub(super) struct Raw {
    is_text: bool,
}

impl Raw {
    pub(super) fn new(fields: Vec<Field>) -> Result<Self, SqlError> {
        match &fields[..] {
            [(_, of)] => match of.to_arrow() {
                DataType::Utf8 => Ok(Self { is_text: true }),
                DataType::Binary => Ok(Self { is_text: false }),
                _ => Err(SqlError::new(format!("the format `raw` is of a STRING or BYTES, not {of}"))),
            },
            _ => Err(SqlError::new("the format `raw` is of one column")),
        }
    }
}

impl Format for Raw {
    fn decode(&self, records: &[&[u8]]) -> Result<(Vec<ArrayRef>, Option<Vec<bool>>), SqlError> {
        let column: ArrayRef = match self.is_text {
            true => {
                let texts = records.iter().map(|record| {
                    std::str::from_utf8(record).map_err(|_| SqlError::new("a record is no UTF-8 text"))
                });
                Arc::new(texts.map(|text| text.map(Some)).collect::<Result<StringArray, _>>()?)
            }
            false => Arc::new(BinaryArray::from_iter_values(records)),
        };
        Ok((vec![column], None))
    }

    fn encode(
        &self,
        chunk: &Chunk,
        columns: &[usize],
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let Some(values) = columns.first().map(|column| chunk.rows().column(*column)) else { return Ok(()) };
        if values.is_valid(row) {
            match self.is_text {
                true => out.extend_from_slice(values.as_string::<i32>().value(row).as_bytes()),
                false => out.extend_from_slice(values.as_binary::<i32>().value(row)),
            }
        }
        Ok(())
    }
}
