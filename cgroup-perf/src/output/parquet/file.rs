//! A file that grows by row groups, of which nothing that is complete is lost.
//!
//! A Parquet file is one by its end, which says where everything is. Until it is written, the row groups stand in
//! `NAME.parquet.open`, and the end that they would have in `NAME.parquet.footer`, which is replaced as a whole each time.
//! Whatever happens between two steps, the last end that was written is of row groups that are there.

use std::io;

use parquet::file::metadata::{FileMetaData, RowGroupMetaData};

use super::WriteError;
use super::encode::RowGroup;
use super::footer::{MAGIC, footer, moved, within};
use super::storage::{Storage, Stored};

/// How a file's name ends when it is complete.
pub(super) const SEALED: &str = ".parquet";
/// How it ends until then.
pub(super) const OPEN: &str = ".parquet.open";
/// How the name of its end does.
pub(super) const FOOTER: &str = ".parquet.footer";

/// How it does while it is being replaced.
const NEW_FOOTER: &str = ".parquet.footer.new";

/// A file that is not complete.
#[derive(Debug)]
pub(super) struct OpenFile {
    name: String,
    stored: Box<dyn Stored>,
    /// Where the next row group comes.
    length: u64,
    file: FileMetaData,
    row_groups: Vec<RowGroupMetaData>,
}

impl OpenFile {
    /// Begins a file with a row group; the name is without an ending.
    pub(super) fn create(storage: &dyn Storage, name: &str, first: &RowGroup) -> Result<Self, WriteError> {
        let failed = |source| WriteError::Io { name: format!("{name}{OPEN}"), source };
        let stored = storage.create(&format!("{name}{OPEN}")).map_err(failed)?;
        let length = MAGIC.len() as u64;
        let mut open = Self { name: name.to_owned(), stored, length, file: first.file.clone(), row_groups: Vec::new() };
        let begun = open.stored.write_at(MAGIC, 0).map_err(failed).and_then(|()| open.append(storage, first));
        if let Err(error) = begun {
            // There is nothing in it that could be lost.
            let _ = storage.remove(&format!("{name}{OPEN}"));
            return Err(error);
        }
        Ok(open)
    }

    /// How long it is.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Puts a row group behind the others. If that fails, the file is as it was.
    pub(super) fn append(&mut self, storage: &dyn Storage, row_group: &RowGroup) -> Result<(), WriteError> {
        let end = self.length.saturating_add(row_group.bytes.len() as u64);
        let by = i64::try_from(self.length).map_err(|_| WriteError::TooLong { name: self.name.clone() })?;
        let metadata = moved(&row_group.metadata, by, self.row_groups.len())?;
        let written = self.stored.write_at(&row_group.bytes, self.length).and_then(|()| self.stored.sync());
        if let Err(source) = written {
            // What is cut off makes room, where that is what was missing.
            let _ = self.stored.truncate(self.length);
            return Err(WriteError::Io { name: format!("{}{OPEN}", self.name), source });
        }
        self.row_groups.push(metadata);
        let kept = self.keep_footer(storage);
        if kept.is_err() {
            self.row_groups.pop();
            let _ = self.stored.truncate(self.length);
            return kept;
        }
        self.length = end;
        Ok(())
    }

    fn keep_footer(&self, storage: &dyn Storage) -> Result<(), WriteError> {
        let name = format!("{}{FOOTER}", self.name);
        let footer = footer(&self.file, &self.row_groups)?;
        storage.replace(&name, &footer).map_err(|source| WriteError::Io { name, source })
    }

    /// Completes it, and gives it its name. What fails can be tried again; the file's name is the result.
    pub(super) fn seal(&mut self, storage: &dyn Storage) -> Result<String, WriteError> {
        let open = format!("{}{OPEN}", self.name);
        let sealed = format!("{}{SEALED}", self.name);
        let footer = footer(&self.file, &self.row_groups)?;
        let mut finish = || -> io::Result<()> {
            self.stored.truncate(self.length)?;
            self.stored.write_at(&footer, self.length)?;
            self.stored.sync()?;
            storage.rename(&open, &sealed)
        };
        let finished = finish();
        if let Err(source) = finished {
            let _ = self.stored.truncate(self.length);
            return Err(WriteError::Io { name: open, source });
        }
        // If it stays, it is removed by the next start.
        let _ = storage.remove(&format!("{}{FOOTER}", self.name));
        Ok(sealed)
    }
}

/// What came of the files that a process left behind.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// Those that are complete now.
    pub(super) sealed: Vec<String>,
    /// Those that can be completed when there is room.
    pub(super) unsealed: Vec<OpenFile>,
    /// Why some are not complete.
    pub(super) errors: Vec<WriteError>,
}

/// Completes the files that a process left behind that was killed, with all row groups that were complete; those without
/// any are removed. What another process is writing is left alone.
pub(super) fn recover(storage: &dyn Storage, prefix: &str) -> Result<Recovered, WriteError> {
    let names = || -> Result<_, WriteError> {
        let names = storage.names().map_err(|source| WriteError::Io { name: ".".to_owned(), source })?;
        Ok(names.into_iter().filter(|name| name.starts_with(prefix)))
    };
    let mut recovered = Recovered::default();
    for open in names()? {
        let Some(name) = open.strip_suffix(OPEN) else { continue };
        match left(storage, name) {
            Ok(Some(mut file)) => match file.seal(storage) {
                Ok(sealed) => recovered.sealed.push(sealed),
                Err(error) => {
                    if error.can_pass() {
                        recovered.unsealed.push(file);
                    }
                    recovered.errors.push(error);
                }
            },
            Ok(None) => {}
            Err(source) => recovered.errors.push(WriteError::Io { name: open, source }),
        }
    }
    // What stood beside files that are complete, or never were.
    for side in names()? {
        let name = side.strip_suffix(FOOTER).or_else(|| side.strip_suffix(NEW_FOOTER));
        if name.is_some_and(|name| !storage.has(&format!("{name}{OPEN}")))
            && let Err(source) = storage.remove(&side)
        {
            recovered.errors.push(WriteError::Io { name: side, source });
        }
    }
    Ok(recovered)
}

/// A file that nobody writes any more; none if another process does, or if there was nothing in it.
fn left(storage: &dyn Storage, name: &str) -> io::Result<Option<OpenFile>> {
    let open = format!("{name}{OPEN}");
    let Some(stored) = storage.take(&open)? else { return Ok(None) };
    let length = stored.length()?;
    let known = storage.read(&format!("{name}{FOOTER}")).ok().and_then(|footer| within(&footer, length).ok());
    match known {
        Some((file, row_groups, length)) if !row_groups.is_empty() => {
            Ok(Some(OpenFile { name: name.to_owned(), stored, length, file, row_groups }))
        }
        _ => storage.remove(&open).map(|()| None),
    }
}
