//! Which processors there are: lists as the kernel writes them ("0-3,8").

use std::{io, path::Path};

/// The most processors that a kernel can be built for, and a bit more.
const MOST: u32 = 1 << 16;

/// Processors that are running.
pub(crate) fn online() -> io::Result<Vec<u32>> {
    read(Path::new("/sys/devices/system/cpu/online"))
}

/// Processors that there may ever be.
pub(crate) fn possible() -> io::Result<Vec<u32>> {
    read(Path::new("/sys/devices/system/cpu/possible"))
}

fn read(path: &Path) -> io::Result<Vec<u32>> {
    let text = std::fs::read_to_string(path)?;
    parse(&text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is no list of processors: {:?}", path.display(), text.trim_end()),
        )
    })
}

/// Writes a list.
pub(crate) fn list(cpus: &[u32]) -> String {
    let runs = cpus.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let texts = runs.filter_map(|run| match run {
        [] => None,
        [one] => Some(one.to_string()),
        [first, .., last] => Some(format!("{first}-{last}")),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Reads a list.
pub(crate) fn parse(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last >= MOST || first > last {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_the_kernel_writes_them() {
        assert_eq!(parse("0-1\n"), Some(vec![0, 1]));
        assert_eq!(parse("0,2-4,9"), Some(vec![0, 2, 3, 4, 9]));
        assert_eq!(parse("\n"), Some(vec![]));
        for text in ["0-1", "0,2-4,9", "7", ""] {
            assert_eq!(list(&parse(text).unwrap()), text);
        }
        for bad in ["a", "3-1", "0-4294967295", "1-", "-1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
