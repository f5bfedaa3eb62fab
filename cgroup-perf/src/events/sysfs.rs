//! PMUs as sysfs describes them: `type`, `events/NAME`, `format/TERM`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A PMU's directory.
pub(super) struct Pmu {
    directory: PathBuf,
}

/// An event in the kernel's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Encoded {
    pub(crate) kind: u32,
    pub(crate) config: u64,
    pub(crate) config1: u64,
}

impl Pmu {
    pub(super) fn new(devices: &Path, name: &str) -> Self {
        Self { directory: devices.join(name) }
    }

    pub(super) fn exists(&self) -> bool {
        self.directory.join("type").exists()
    }

    pub(super) fn has_event(&self, event: &str) -> bool {
        self.directory.join("events").join(event).exists()
    }

    /// The event of that name, or of those terms.
    pub(super) fn encode(&self, event: &str) -> io::Result<Encoded> {
        let kind = self.text("type")?;
        let kind = kind.trim().parse().map_err(|_| self.malformed("type", &kind))?;
        let mut encoded = Encoded { kind, ..Encoded::default() };
        let terms = if event.contains('=') { event.to_owned() } else { self.text(&format!("events/{event}"))? };
        for term in terms.trim().split(',') {
            let (name, value) = term.split_once('=').unwrap_or((term, "1"));
            let value = number(value).ok_or_else(|| self.malformed(term, value))?;
            match name {
                "config" => encoded.config |= value,
                "config1" => encoded.config1 |= value,
                _ => {
                    let format = self.text(&format!("format/{name}"))?;
                    let (into, ranges) = format.trim().split_once(':').ok_or_else(|| self.malformed(name, &format))?;
                    let bits = spread(value, ranges).ok_or_else(|| self.malformed(name, &format))?;
                    match into {
                        "config" => encoded.config |= bits,
                        "config1" => encoded.config1 |= bits,
                        _ => return Err(self.malformed(name, &format)),
                    }
                }
            }
        }
        Ok(encoded)
    }

    fn text(&self, name: &str) -> io::Result<String> {
        let path = self.directory.join(name);
        fs::read_to_string(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    fn malformed(&self, name: &str, text: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {name} is {:?}", self.directory.display(), text.trim()))
    }
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Puts a value's bits where the ranges ("0-7,32-35") say. `None` where it has more bits than they.
fn spread(mut value: u64, ranges: &str) -> Option<u64> {
    let mut bits = 0;
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > 63 {
            return None;
        }
        let width = last - first + 1;
        let mask = u64::MAX >> (64 - width);
        bits |= (value & mask) << first;
        value = value.checked_shr(width).unwrap_or(0);
    }
    (value == 0).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_go_where_the_format_says() {
        assert_eq!(spread(0x3c, "0-7"), Some(0x3c));
        assert_eq!(spread(0x123, "0-7,32-35"), Some(0x1_0000_0023));
        assert_eq!(spread(1, "18"), Some(1 << 18));
        assert_eq!(spread(u64::MAX, "0-63"), Some(u64::MAX));
        assert_eq!(spread(0x100, "0-7"), None, "more bits than there are places");
        assert_eq!(spread(1, "7-0"), None);
        assert_eq!(spread(1, "64"), None);
    }

    #[test]
    fn an_event_is_encoded_by_the_files() {
        let devices = tempfile::tempdir().unwrap();
        let pmu = devices.path().join("cpu");
        for (file, text) in [
            ("type", "4\n"),
            ("events/llc-misses", "event=0x2e,umask=0x41\n"),
            ("events/odd", "event=0x2e,edge\n"),
            ("format/event", "config:0-7\n"),
            ("format/umask", "config:8-15\n"),
            ("format/edge", "config:18\n"),
            ("format/ldlat", "config1:0-15\n"),
        ] {
            let file = pmu.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let pmu = Pmu::new(devices.path(), "cpu");
        assert!(pmu.exists() && pmu.has_event("odd") && !pmu.has_event("even"));
        let encoded = |config, config1| Encoded { kind: 4, config, config1 };
        assert_eq!(pmu.encode("llc-misses").unwrap(), encoded(0x412e, 0));
        assert_eq!(pmu.encode("odd").unwrap(), encoded(0x2e | 1 << 18, 0));
        assert_eq!(pmu.encode("event=0xcd,ldlat=3").unwrap(), encoded(0xcd, 3));
        assert!(pmu.encode("event=0x100").is_err());
        assert!(pmu.encode("unknown").unwrap_err().to_string().contains("events/unknown"));
    }
}
