//! A file of blocks that come and go: what lies in it is of use to this process only, and its file has no name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Blocks take whole units of so many bytes.
const UNIT: u64 = 1024;

/// Where blocks lie.
#[derive(Debug)]
pub(super) struct Space {
    file: File,
    places: Mutex<Places>,
}

/// In units: where the file ends, and what lies free before that.
#[derive(Debug, Default)]
struct Places {
    end: u64,
    /// Of each length where places of it begin.
    free: BTreeMap<u64, Vec<u64>>,
}

/// One block. Its place is free again when it is dropped.
#[derive(Debug)]
pub(super) struct Extent {
    space: Arc<Space>,
    begin: u64,
    units: u64,
}

impl Space {
    pub(super) fn new(file: File) -> Self {
        Self { file, places: Mutex::default() }
    }

    /// Writes a block.
    pub(super) fn write(self: &Arc<Self>, bytes: &[u8]) -> io::Result<Extent> {
        let wanted = length_for((bytes.len() as u64).div_ceil(UNIT));
        let (begin, units) = self.places.lock().unwrap_or_else(PoisonError::into_inner).take(wanted);
        // Made first: where the block cannot be written, its place is free again.
        let extent = Extent { space: self.clone(), begin, units };
        self.file.write_all_at(bytes, begin * UNIT)?;
        Ok(extent)
    }
}

/// Places have lengths of 1, 2, 3, 4, 6, 8, 12 … units, and are never divided: so what is given back fits what comes.
fn length_for(units: u64) -> u64 {
    let power = units.max(1).next_power_of_two();
    if power > 2 && units <= power / 4 * 3 { power / 4 * 3 } else { power }
}

impl Places {
    /// A place of at least this length, and how long it is.
    fn take(&mut self, wanted: u64) -> (u64, u64) {
        let found = self.free.range_mut(wanted..=2 * wanted).find_map(|(length, begins)| {
            let begin = begins.pop()?;
            Some((begin, *length))
        });
        found.unwrap_or_else(|| {
            self.end += wanted;
            (self.end - wanted, wanted)
        })
    }

    fn give_back(&mut self, begin: u64, units: u64) {
        self.free.entry(units).or_default().push(begin);
    }
}

impl Extent {
    /// Reads some of the block.
    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> io::Result<()> {
        self.space.file.read_exact_at(into, self.begin * UNIT + offset as u64)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        self.space.places.lock().unwrap_or_else(PoisonError::into_inner).give_back(self.begin, self.units);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_bytes_and_places_are_used_again() {
        let space = Arc::new(Space::new(tempfile::tempfile().unwrap()));
        let bytes = |n: usize| vec![n as u8; 100 + 997 * n % 9000];
        let mut blocks = Vec::new();
        for n in 0..2_000 {
            blocks.push((n, space.write(&bytes(n)).unwrap()));
            if n >= 20 {
                drop(blocks.swap_remove(n * 7 % 20));
            }
            for (n, block) in &blocks {
                let mut read = vec![0; bytes(*n).len()];
                block.read(0, &mut read).unwrap();
                assert_eq!(read, bytes(*n));
            }
        }
        let end = space.places.lock().unwrap().end;
        assert!(end < 21 * 24, "{end} units for 21 blocks of at most 9");
    }
}
