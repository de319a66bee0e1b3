//! What redb reads and writes: the file, or a rehearsal of it.
//!
//! Must not know what is in the file. The lock is the opener's, not redb's: a database that is closed
//! and opened again in between must not let another process in. Invariant: a rehearsal changes
//! nothing on the disk, whatever redb writes to repair what it found.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

#[cfg(test)]
use super::faults::Faults;

/// The file itself.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) file: Arc<File>,
    #[cfg(test)]
    pub(super) faults: Arc<Faults>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        #[cfg(test)]
        self.faults.writing()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.syncing()?;
        self.file.sync_data()?;
        #[cfg(test)]
        self.faults.synced()?;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.faults.writing()?;
        self.file.write_all_at(data, offset)
    }
}

const BLOCK: usize = 4096;

/// The file as it is, with everything that is written kept in memory.
pub(super) struct Rehearsal {
    file: Arc<File>,
    written: Mutex<Written>,
}

struct Written {
    len: u64,
    /// How much of the file still shows: less than all after it was cut.
    shows: u64,
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

impl Rehearsal {
    pub(super) fn of(file: Arc<File>) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self {
            file,
            written: Mutex::new(Written {
                len,
                shows: len,
                blocks: BTreeMap::new(),
            }),
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Written) -> T) -> T {
        act(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rehearsal")
    }
}

impl Written {
    /// What the file shows at `offset`; zeros where it ends.
    fn underneath(&self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.fill(0);
        let there = self.shows.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        match out.get_mut(..there) {
            Some(part) => file.read_exact_at(part, offset),
            None => Ok(()),
        }
    }

    /// Calls `act` with each block that `range` touches, the part of it, and the bytes done before.
    fn pieces(
        offset: u64,
        len: usize,
        mut act: impl FnMut(u64, std::ops::Range<usize>, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let at = offset.saturating_add(done as u64);
            let (block, from) = (at / BLOCK as u64, at % BLOCK as u64);
            let from = usize::try_from(from).map_err(io::Error::other)?;
            let piece = (BLOCK - from).min(len - done);
            act(block, from..from + piece, done)?;
            done += piece;
        }
        Ok(())
    }
}

impl StorageBackend for Rehearsal {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|written| written.len))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|written| {
            let end = offset.checked_add(out.len() as u64);
            if end.is_none_or(|end| end > written.len) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            Written::pieces(offset, out.len(), |block, part, done| {
                let target = out.get_mut(done..done + part.len());
                let target = target.ok_or(ErrorKind::InvalidInput)?;
                match written.blocks.get(&block).and_then(|block| block.get(part)) {
                    Some(bytes) => target.copy_from_slice(bytes),
                    None => written.underneath(&self.file, offset + done as u64, target)?,
                }
                Ok(())
            })
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|written| {
            if len < written.len {
                written.shows = written.shows.min(len);
                let kept = len.div_ceil(BLOCK as u64);
                drop(written.blocks.split_off(&kept));
                let from = usize::try_from(len % BLOCK as u64).map_err(io::Error::other)?;
                let last = written.blocks.get_mut(&(len / BLOCK as u64));
                if let Some(cut) = last.and_then(|block| block.get_mut(from..)) {
                    cut.fill(0);
                }
            }
            written.len = len;
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|written| {
            Written::pieces(offset, data.len(), |block, part, done| {
                if !written.blocks.contains_key(&block) {
                    let mut fresh = Box::new([0; BLOCK]);
                    written.underneath(&self.file, block * BLOCK as u64, &mut *fresh)?;
                    written.blocks.insert(block, fresh);
                }
                let target = written.blocks.get_mut(&block);
                let target = target.and_then(|block| block.get_mut(part.clone()));
                let source = data.get(done..done + part.len());
                if let (Some(target), Some(source)) = (target, source) {
                    target.copy_from_slice(source);
                }
                Ok(())
            })?;
            written.len = written.len.max(offset.saturating_add(data.len() as u64));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..20_000, prop::collection::vec(any::<u8>(), 1..9000))
                .prop_map(|(at, data)| Step::Write(at, data)),
            (0_u64..20_000).prop_map(Step::SetLen),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn reads_as_if_it_had_been_written_and_is_not(
            steps in prop::collection::vec(step(), 1..12),
            first in prop::collection::vec(any::<u8>(), 0..15_000),
        ) {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&first, 0).unwrap();
            let file = Arc::new(file);
            let rehearsal = Rehearsal::of(Arc::clone(&file)).unwrap();
            let mut model = first.clone();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        rehearsal.write(at, &data).unwrap();
                        let at = usize::try_from(at).unwrap();
                        model.resize(model.len().max(at + data.len()), 0);
                        model[at..at + data.len()].copy_from_slice(&data);
                    }
                    Step::SetLen(len) => {
                        rehearsal.set_len(len).unwrap();
                        model.resize(usize::try_from(len).unwrap(), 0);
                    }
                }
                let mut seen = vec![1; model.len()];
                rehearsal.read(0, &mut seen).unwrap();
                prop_assert!(seen == model);
                let middle = model.len() / 3;
                let mut part = vec![1; model.len() / 2];
                rehearsal.read(middle as u64, &mut part).unwrap();
                prop_assert!(part == model[middle..middle + part.len()]);
                prop_assert!(rehearsal.read(model.len() as u64, &mut [0]).is_err());
            }
            let mut on_disk = vec![1; first.len()];
            file.read_exact_at(&mut on_disk, 0).unwrap();
            prop_assert!(on_disk == first && file.metadata().unwrap().len() == first.len() as u64);
        }
    }
}
