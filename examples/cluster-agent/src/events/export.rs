//! Where events are sent: the configuration of kubernetes-event-exporter, checked.

use std::sync::Arc;

use kube_events::config::{Config, Sink, Strictness};

/// Sinks and routes of events.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    /// The text that it was read from: what is the same needs no new beginning.
    pub(crate) text: String,
    pub(crate) config: Arc<Config>,
}

impl PartialEq for Export {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Export {
    /// Reads a text. Where `is_placed`, its lines are those of the file; problems are told with `origin`, and with the
    /// path of their keys below `events.export`.
    pub(crate) fn read(text: String, origin: &str, is_placed: bool) -> Result<Self, Vec<String>> {
        let at = |path: &str, line: Option<u64>, problem: &str| {
            let path = if path.is_empty() { "events.export".to_owned() } else { format!("events.export.{path}") };
            match line.filter(|_| is_placed) {
                Some(line) => format!("{origin}:{line}: {path}: {problem}"),
                None => format!("{origin}: {path}: {problem}"),
            }
        };
        let config = Config::parse(&text, Strictness::Strict, &|name| std::env::var(name).ok());
        let config = config.map_err(|error| {
            error.problems.iter().map(|problem| at(&problem.path, problem.line, &problem.problem)).collect::<Vec<_>>()
        })?;
        let mut problems = Vec::new();
        for (index, receiver) in config.receivers.iter().enumerate() {
            let path = format!("receivers[{index}]");
            if matches!(receiver.sink, Sink::InMemory) {
                problems.push(at(&path, None, "an `inMemory` sink is for programs that read it: choose another"));
            } else if let Err(error) = receiver.build() {
                problems.push(at(&path, None, &error.to_string()));
            }
        }
        if config.leader_election.enabled {
            let problem = "one replica sends events, the first shard: leave it out";
            problems.push(at("leaderElection.enabled", None, problem));
        }
        for warning in &config.warnings {
            tracing::warn!("{}", at(&warning.path, warning.line, &warning.problem));
        }
        if problems.is_empty() { Ok(Self { text, config: Arc::new(config) }) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_have_their_places() {
        let text = "\n\nroute: {routes: [{match: [{receiver: a}]}]}\nreceivers:\n- name: a\n  stdout: {color: red}\n";
        let told = Export::read(text.to_owned(), "agent.yaml", true).unwrap_err();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("agent.yaml:6: events.export.receivers[0].stdout.color: "), "{told:?}");
        let text =
            "receivers: [{name: a, inMemory: {}}]\nroute: {match: [{receiver: a}]}\nleaderElection: {enabled: true}";
        let told = Export::read(text.to_owned(), "agent.yaml", true).unwrap_err().join("\n");
        assert!(told.contains("receivers[0]: an `inMemory`") && told.contains("leaderElection.enabled"), "{told}");
    }

    #[test]
    fn the_same_text_is_the_same_export() {
        let read = |text: &str| Export::read(text.to_owned(), "x", false).unwrap();
        let one = "receivers: [{name: a, stdout: {}}]\nroute: {match: [{receiver: a}]}";
        assert_eq!(read(one), read(one));
        assert_ne!(read(one), read(&one.replace("stdout: {}", "stdout: {deDot: true}")));
    }
}
