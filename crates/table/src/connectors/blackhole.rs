//! `blackhole`: takes every row and does nothing with it.

use std::sync::Arc;

use thalweg_dataflow::graph::Stream;

use super::{Changelog, Connector, TableSink};
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::settings::Settings;

pub(super) struct Blackhole;

impl Connector for Blackhole {
    fn sink(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        super::only(table, &[], &[])?;
        Ok(Box::new(Blackhole))
    }
}

impl TableSink for Blackhole {
    fn changelog(&self) -> Changelog {
        Changelog::Retract
    }

    fn write(&self, rows: Stream<Chunk>, name: &str) -> Result<(), SqlError> {
        rows.map(name, drop).determined();
        Ok(())
    }
}
