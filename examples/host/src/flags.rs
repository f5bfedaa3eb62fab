//! Flags that the environment can give, too.

/// Lets each flag be given by a variable: `--sim-pods` by `CLUSTER_AGENT_SIM_PODS`, where `prefix` is `CLUSTER_AGENT`.
/// Flags that have a variable of their own keep it; those of `never` have none.
pub fn with_environment(command: clap::Command, prefix: &str, never: &[&str]) -> clap::Command {
    command.mut_args(|arg| match arg.get_long() {
        None | Some("help" | "version") => arg,
        Some(long) if never.contains(&long) || arg.get_env().is_some() => arg,
        Some(long) => {
            let name = format!("{prefix}_{}", long.replace('-', "_").to_uppercase());
            arg.env(name).hide_env(true)
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn every_flag_has_its_variable() {
        let command = Command::new("agent").args([
            Arg::new("sim-pods").long("sim-pods"),
            Arg::new("node").long("node").env("NODE"),
            Arg::new("print").long("print"),
        ]);
        let command = with_environment(command, "AGENT", &["print"]);
        let name = |id: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id).unwrap();
            arg.get_env().map(|name| name.to_str().unwrap())
        };
        assert_eq!([name("sim-pods"), name("node"), name("print")], [Some("AGENT_SIM_PODS"), Some("NODE"), None]);
    }
}
