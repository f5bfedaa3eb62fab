//! A file with a line for each event, which is rotated.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::stdout::lines;
use super::{Body, Delivery, DeliveryError, EncodeError, Record, Sink};
use crate::event::EnhancedEvent;

/// How the time of a rotation is written in a file's name, in UTC.
const TIME: &str = "%Y-%m-%dT%H-%M-%S.%3f";

/// Where and how much is kept.
///
/// When a batch would make the file longer than `max_bytes`, the file is renamed after the time, in UTC:
/// `events.log` becomes `events-2024-05-01T10-00-00.000.log`. Renamed files that are too old or too many are removed,
/// at each rotation and when the file is opened. A single batch is not split: keep
/// [`BatchOptions::bytes`](super::BatchOptions::bytes) below `max_bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// The file. Its directory is made where it isn't there.
    pub path: PathBuf,
    /// How long it may be; 100 MiB by default.
    pub max_bytes: u64,
    /// How long renamed files are kept; for ever by default.
    pub max_age: Option<Duration>,
    /// How many renamed files are kept; all by default.
    pub max_backups: Option<usize>,
    /// Whether a batch is acknowledged only when it is on the disk (`fdatasync`); not by default: then it is when the
    /// system has it, and lost if the machine fails within seconds.
    pub sync: bool,
}

impl FileOptions {
    /// This file, with the defaults.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_bytes: 100 << 20, max_age: None, max_backups: None, sync: false }
    }
}

/// Appends each event as a line to a file. See [`FileOptions`] for its rotation.
///
/// It may be rotated by others too: a file that was renamed or removed is opened anew, one that was cut goes on. What can't be written (no room,
/// no right) is cut off again, and tried later.
///
/// ```
/// use kube_events::sink::{Body, File, file::FileOptions};
///
/// let options = FileOptions { max_backups: Some(5), ..FileOptions::new("/var/log/events.log") };
/// let sink = File::new(options, Body::json());
/// ```
#[derive(Debug)]
pub struct File {
    body: Body,
    options: Arc<FileOptions>,
    state: Arc<Mutex<Option<Open>>>,
}

#[derive(Debug)]
struct Open {
    file: fs::File,
    length: u64,
}

impl File {
    /// Opens nothing yet: that comes with the first batch.
    pub fn new(options: FileOptions, body: Body) -> Self {
        Self { body, options: Arc::new(options), state: Arc::default() }
    }
}

impl Sink for File {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        Ok(Record::new(event, self.body.encode(event)?))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        let (state, options, lines) = (Arc::clone(&self.state), Arc::clone(&self.options), lines(batch));
        async move {
            let written = tokio::task::spawn_blocking(move || write(&mut state.lock(), &options, &lines)).await;
            let failed = |error: io::Error| DeliveryError::again(format!("{}: {error}", self.options.path.display()));
            written.map_err(DeliveryError::again)?.map_err(failed)?;
            Ok(Delivery::default())
        }
        .boxed()
    }
}

fn write(state: &mut Option<Open>, options: &FileOptions, lines: &[u8]) -> io::Result<()> {
    let mut open = match state.take().and_then(|open| still_at(open, &options.path)) {
        Some(open) => open,
        None => {
            prune(options);
            open_file(options)?
        }
    };
    if open.length > 0 && open.length.saturating_add(lines.len() as u64) > options.max_bytes {
        rotate(options)?;
        open = open_file(options)?;
        prune(options);
    }
    let written = open.file.write_all(lines).and_then(|()| if options.sync { open.file.sync_data() } else { Ok(()) });
    match written {
        Ok(()) => {
            open.length += lines.len() as u64;
            *state = Some(open);
            Ok(())
        }
        Err(error) => {
            // A part of a line would make the next one unreadable. If that fails as well, the opening mends it.
            let _ = open.file.set_len(open.length);
            Err(error)
        }
    }
}

fn open_file(options: &FileOptions) -> io::Result<Open> {
    if let Some(directory) = options.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    let mut how = fs::OpenOptions::new();
    how.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o640);
    let mut file = how.open(&options.path)?;
    let mut length = file.metadata()?.len();
    if length > 0 && !ends_with_line(&mut file)? {
        file.write_all(b"\n")?;
        length += 1;
    }
    Ok(Open { file, length })
}

/// Whether a process that ended while it wrote has left no half line.
fn ends_with_line(file: &mut fs::File) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The open file, if it is still the one of that name, with the length that it has by now: others may have cut it.
#[cfg(unix)]
fn still_at(open: Open, path: &Path) -> Option<Open> {
    use std::os::unix::fs::MetadataExt;
    let (ours, named) = (open.file.metadata().ok()?, fs::metadata(path).ok()?);
    let is_same = (ours.dev(), ours.ino()) == (named.dev(), named.ino());
    is_same.then_some(Open { length: ours.len(), ..open })
}

#[cfg(not(unix))]
fn still_at(open: Open, path: &Path) -> Option<Open> {
    let length = fs::metadata(path).ok()?.len();
    Some(Open { length, ..open })
}

/// Stem and ending of the file's name, with the dash and the dot that stand beside the time.
fn parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
    (format!("{stem}-"), ending.unwrap_or_default())
}

fn rotate(options: &FileOptions) -> io::Result<()> {
    let (stem, ending) = parts(&options.path);
    let mut time = Timestamp::now();
    loop {
        let name = format!("{stem}{}{ending}", time.strftime(TIME));
        let target = options.path.with_file_name(name);
        // Two rotations within a millisecond must not replace each other.
        if !target.try_exists()? {
            return fs::rename(&options.path, target);
        }
        time = time.checked_add(Duration::from_millis(1)).map_err(io::Error::other)?;
    }
}

/// Removes renamed files that are too old or too many. That it fails is told, and no reason not to write.
fn prune(options: &FileOptions) {
    if options.max_age.is_none() && options.max_backups.is_none() {
        return;
    }
    let directory = options.path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(directory) else { return };
    let (stem, ending) = parts(&options.path);
    let rotated = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let time = name.to_str()?.strip_prefix(&stem)?.strip_suffix(&ending)?;
        let time = jiff::civil::DateTime::strptime("%Y-%m-%dT%H-%M-%S%.3f", time).ok()?;
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        Some((SystemTime::from(time), entry.path()))
    };
    let mut backups: Vec<_> = entries.flatten().filter_map(rotated).collect();
    backups.sort_unstable_by(|one, other| other.cmp(one));
    let now = SystemTime::now();
    for (at, (time, path)) in backups.iter().enumerate() {
        let is_surplus = options.max_backups.is_some_and(|most| at >= most);
        let age = now.duration_since(*time).unwrap_or_default();
        if (is_surplus || options.max_age.is_some_and(|most| age > most))
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(file = %path.display(), %error, "a rotated file can't be removed");
        }
    }
}
