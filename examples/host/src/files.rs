//! Files that are edited while the program runs.
//!
//! What counts is a file's content: folders are watched rather than files, so that an editor's rename and a ConfigMap's
//! symlink swap are seen, and an event that changed nothing is no change. A look at all files every 30 seconds makes up
//! for file systems that send no events.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A write is often several: wait until they have ended.
const QUIET: Duration = Duration::from_millis(100);
/// But not for ever.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(30);

/// The largest file that is read: far more than a ConfigMap may hold.
pub const MAX_FILE: u64 = 8 << 20;

/// Reads a file of bounded size as text.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// Tells when files change.
pub struct FileWatch {
    watcher: Option<RecommendedWatcher>,
    events: mpsc::Receiver<()>,
    folders: BTreeSet<PathBuf>,
    /// Each file with what it held; `None` where it can't be read.
    files: BTreeMap<PathBuf, Option<u64>>,
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWatch").field("files", &self.files.keys()).finish_non_exhaustive()
    }
}

impl FileWatch {
    /// Begins to watch files, which need not exist yet.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        // One place: an event that finds it taken tells nothing new.
        let (sender, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !is_reading(event.kind)) {
                let _ = sender.try_send(());
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "no events of files: changes are found by looking every {LOOK:?}");
        });
        let mut watch = Self { watcher: watcher.ok(), events, folders: BTreeSet::new(), files: BTreeMap::new() };
        watch.set_files(files);
        watch
    }

    /// Changes which files are watched. A new one counts as changed by what happens from now on.
    pub fn set_files(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let mut old = std::mem::take(&mut self.files);
        self.files = files
            .into_iter()
            .map(|file| {
                let content = old.remove(&file).unwrap_or_else(|| fingerprint(&file));
                (file, content)
            })
            .collect();
        self.watch_folders();
    }

    /// Waits for a change, and gives the files that changed, appeared or vanished; never none.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            let _ = timeout(LOOK, self.event()).await;
            let end = Instant::now() + PATIENCE;
            while let Ok(()) = timeout_at(end, self.event_within_quiet()).await.unwrap_or(Err(())) {}
            // Folders may be new, or elsewhere by now.
            self.watch_folders();
            let mut changed = Vec::new();
            for (file, known) in &mut self.files {
                let content = fingerprint(file);
                if *known != content {
                    *known = content;
                    changed.push(file.clone());
                }
            }
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    async fn event(&mut self) {
        if self.events.recv().await.is_none() {
            // Without a watcher there are no events.
            sleep(LOOK).await;
        }
    }

    async fn event_within_quiet(&mut self) -> Result<(), ()> {
        timeout(QUIET, self.event()).await.map_err(|_| ())
    }

    fn watch_folders(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let folders: BTreeSet<PathBuf> = self.files.keys().flat_map(|file| folders_of(file)).collect();
        for gone in self.folders.difference(&folders) {
            let _ = watcher.unwatch(gone);
        }
        // A folder that isn't there is tried again with the next look.
        let watched = |folder: &PathBuf| {
            self.folders.contains(folder) || watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
        };
        self.folders = folders.into_iter().filter(watched).collect();
    }
}

/// Where a file lies, and where the file lies that it links to.
fn folders_of(file: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    };
    let target = file.canonicalize().ok().map(|target| parent(&target));
    [Some(parent(file)), target].into_iter().flatten().filter(|folder| folder.is_dir()).collect()
}

/// Reading makes events too: ours would never end.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// What tells one content from another.
fn fingerprint(file: &Path) -> Option<u64> {
    let mut content = Vec::new();
    File::open(file).ok()?.take(MAX_FILE + 1).read_to_end(&mut content).ok()?;
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    Some(hasher.finish())
}
