//! The keys of the configuration file: each stands for a flag.

use example_host::config::Shape::{List, One};
use example_host::config::Takes::{Effect, Restart};
use example_host::config::{Key, Keys};

/// Every key.
pub(crate) const KEYS: Keys = Keys {
    flags: &[
        Key::new("parts", "parts", List, Restart),
        Key::new("nodeName", "node-name", One, Restart),
        Key::new("lease.namespace", "namespace", One, Restart),
        Key::new("lease.holder", "pod-name", One, Restart),
        Key::new("lease.source", "source", One, Restart),
        Key::new("lease.imdsEndpoint", "imds-endpoint", One, Restart),
        Key::new("lease.onStop", "on-stop", One, Restart),
        Key::new("lease.startJitter", "start-jitter", One, Restart),
        Key::new("lease.duration", "lease-duration", One, Restart),
        Key::new("lease.renewInterval", "renew-interval", One, Restart),
        Key::new("containers.socket", "socket", One, Restart),
        Key::new("containers.counters", "counters", List, Effect),
        Key::new("containers.interval", "interval", One, Effect),
        Key::new("parquet.directory", "parquet", One, Effect),
        Key::new("parquet.slot", "slot", One, Effect),
        Key::new("parquet.fileSizeMiB", "file-size", One, Effect),
        Key::new("parquet.fileAge", "file-age", One, Effect),
        Key::new("kubelet.address", "kubelet-address", One, Effect),
        Key::new("kubelet.port", "kubelet-port", One, Effect),
        Key::new("kubelet.interval", "kubelet-interval", One, Effect),
        Key::new("kubelet.ca", "kubelet-ca", One, Effect),
        Key::new("kubelet.insecure", "kubelet-insecure", One, Effect),
        Key::new("kubelet.tokenFile", "kubelet-token-file", One, Effect),
        Key::new("serving.host", "host", One, Restart),
        Key::new("serving.port", "port", One, Restart),
    ],
    others: &[],
};

#[cfg(test)]
mod tests {
    use example_host::config::Takes;

    use super::*;
    use crate::flags::Source;

    const EXAMPLE: &str = include_str!("../node-agent.yaml");

    /// The example with its keys in force.
    fn in_force() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if rest.trim_start().starts_with(char::is_alphabetic) && rest.contains(':') => {
                let is_key =
                    rest.trim_start().split(':').next().is_some_and(|key| key.chars().all(char::is_alphanumeric));
                if is_key && !rest.starts_with("  #") { format!("{rest}\n") } else { format!("#{rest}\n") }
            }
            _ => format!("{line}\n"),
        };
        EXAMPLE.lines().map(line).collect()
    }

    #[test]
    fn the_example_is_what_holds_without_it() {
        assert_eq!(KEYS.parse(EXAMPLE, "example").unwrap(), []);
    }

    #[test]
    fn the_example_has_every_key_each_is_right_and_it_says_which_take_a_restart() {
        let text = in_force();
        let entries = KEYS.parse(&text, "example").unwrap_or_else(|problems| panic!("{problems:?} in {text}"));
        let named: Vec<&str> = entries.iter().map(|entry| entry.key).collect();
        let missing: Vec<&str> = KEYS.paths().filter(|path| !named.contains(path)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        Source::of(&["--sim"]).flags(&entries).unwrap();
        let line = |entry: &example_host::config::Entry| {
            let number: usize = entry.place.split(':').nth(1).unwrap().parse().unwrap();
            text.lines().nth(number - 1).unwrap().to_owned()
        };
        for entry in &entries {
            assert_eq!(line(entry).ends_with("# restart"), entry.takes == Takes::Restart, "{}", line(entry));
        }
    }
}
