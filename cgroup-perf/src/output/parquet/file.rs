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

/// Completes the files that a process left behind that was killed, with all row groups that were complete; those without
/// any are removed. What another process is writing is left alone. The names of the completed are the result.
pub(super) fn recover(storage: &dyn Storage, prefix: &str) -> Result<Vec<String>, WriteError> {
    let failed = |name: &str| {
        let name = name.to_owned();
        move |source| WriteError::Io { name, source }
    };
    let names = storage.names().map_err(failed("."))?;
    let mut recovered = Vec::new();
    for open in names.iter().filter(|name| name.starts_with(prefix)) {
        let Some(name) = open.strip_suffix(OPEN) else { continue };
        let Some(stored) = storage.take(open).map_err(failed(open))? else { continue };
        let side = format!("{name}{FOOTER}");
        let length = stored.length().map_err(failed(open))?;
        let known = storage.read(&side).ok().and_then(|footer| within(&footer, length).ok());
        match known {
            Some((file, row_groups, length)) if !row_groups.is_empty() => {
                let mut file = OpenFile { name: name.to_owned(), stored, length, file, row_groups };
                recovered.push(file.seal(storage)?);
            }
            _ => {
                storage.remove(open).map_err(failed(open))?;
                let _ = storage.remove(&side);
            }
        }
    }
    // What stood beside files that are complete, or never were.
    for side in storage.names().map_err(failed("."))?.iter().filter(|name| name.starts_with(prefix)) {
        let name = side.strip_suffix(FOOTER).or_else(|| side.strip_suffix(NEW_FOOTER));
        if name.is_some_and(|name| !storage.has(&format!("{name}{OPEN}"))) {
            storage.remove(side).map_err(failed(side))?;
        }
    }
    Ok(recovered)
}
