//! What the command line and the environment say, and a file where they say nothing.

use std::ffi::OsString;

use clap::Command;
use clap::parser::ValueSource;

use super::Entry;

/// The command line as it was given, and the environment.
///
/// Files come later, and again and again: what they say is checked key by key, and gives way to both.
#[derive(Debug, Clone)]
pub struct Given {
    command: Command,
    arguments: Vec<OsString>,
    /// Flags that the command line or the environment gives.
    flags: Vec<String>,
}

impl Given {
    /// Reads both, for a command whose flags all have long names.
    pub fn read(command: Command, arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let matches = command.clone().try_get_matches_from(&arguments)?;
        let by = |id: &clap::Id| matches.value_source(id.as_str());
        let is_given = |id| matches!(by(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        let given = command.get_arguments().filter(|flag| {
            // A flag that no source has set has none.
            matches.try_contains_id(flag.get_id().as_str()).unwrap_or(false) && is_given(flag.get_id())
        });
        let flags = given.filter_map(|flag| flag.get_long().map(str::to_owned)).collect();
        Ok(Self { command, arguments, flags })
    }

    /// Whether the command line or the environment says it.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }

    /// What holds, with a file's values where nobody else gives them; a line for each that is wrong.
    pub fn with(&self, file: &[Entry]) -> Result<clap::ArgMatches, Vec<String>> {
        let (mut arguments, mut problems) = (self.arguments.clone(), Vec::new());
        for entry in file {
            let argument = OsString::from(format!("--{}={}", entry.flag, entry.value));
            // Each by itself, so that what is wrong is told with its place.
            if let Err(error) = self.alone().try_get_matches_from([OsString::from("it"), argument.clone()]) {
                problems.push(format!("{}: {}: {}", entry.place, entry.key, first_line(&error)));
            }
            if !self.has(entry.flag) {
                arguments.push(argument);
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        self.command.clone().try_get_matches_from(arguments).map_err(|error| vec![first_line(&error)])
    }

    /// The command without the environment: what is wrong there is none of the file's.
    fn alone(&self) -> Command {
        self.command.clone().mut_args(|flag| flag.env(None::<&str>))
    }
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;
    use crate::config::{Key, Keys, Shape, Takes};

    const KEYS: Keys = Keys {
        flags: &[
            Key::new("port", "port", Shape::One, Takes::Restart),
            Key::new("wide", "is-wide", Shape::One, Takes::Effect),
            Key::new("name", "name", Shape::One, Takes::Effect),
        ],
        others: &[],
    };

    fn given(arguments: &[&str]) -> Given {
        let flag = |long: &'static str| Arg::new(long).long(long);
        let command = Command::new("it").args([
            flag("port").value_parser(clap::value_parser!(u16)).default_value("1"),
            flag("is-wide").value_parser(clap::value_parser!(bool)).num_args(0..=1).default_missing_value("true"),
            flag("name"),
        ]);
        Given::read(command, [&["it"], arguments].concat().into_iter().map(OsString::from).collect()).unwrap()
    }

    #[test]
    fn flags_win_over_the_file_and_that_over_defaults() {
        let file = KEYS.parse("port: 2\nwide: true\nname: a", "a.yaml").unwrap();
        let (none, some) = (given(&[]), given(&["--port=3"]));
        assert_eq!((none.has("port"), some.has("port")), (false, true));
        let port = |given: &Given, file: &[Entry]| *given.with(file).unwrap().get_one::<u16>("port").unwrap();
        assert_eq!([port(&none, &[]), port(&none, &file), port(&some, &file)], [1, 2, 3]);
        assert_eq!(none.with(&file).unwrap().get_one::<bool>("is-wide"), Some(&true));
    }

    #[test]
    fn wrong_values_are_told_with_their_places() {
        let file = KEYS.parse("port: high\nwide: maybe\n", "a.yaml").unwrap();
        let told = given(&["--port=3"]).with(&file).unwrap_err();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("a.yaml:1:7: port: invalid value 'high'"), "{told:?}");
        assert!(told[1].starts_with("a.yaml:2:7: wide: invalid value 'maybe'"), "{told:?}");
    }
}
