//! Runs the binary, and reads its output.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::thread;

pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

pub fn render(flags: &[&str]) -> Output {
    render_input(flags, b"")
}

pub fn render_input(flags: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ksm-render"))
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let output = thread::scope(|scope| {
        scope.spawn(move || match stdin.write_all(input) {
            // It may have ended without reading, because of its flags.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            outcome => outcome.expect("the input is taken"),
        });
        child.wait_with_output().expect("the binary ends")
    });
    Output {
        stdout: String::from_utf8(output.stdout).expect("the exposition is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        code: output.status.code().expect("it ends by itself, and by no signal"),
    }
}

pub fn samples(exposition: &str) -> impl Iterator<Item = &str> {
    exposition.split_terminator('\n').filter(|line| !line.starts_with('#'))
}

/// A sample line with its labels sorted, so that lines compare as sets.
pub fn canonical(line: &str) -> String {
    let Some((name, rest)) = line.split_once('{') else { return line.to_owned() };
    let (labels, value) = rest.rsplit_once("} ").expect("labels end before the value");
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in labels.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&labels[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&labels[start..]);
    parts.sort_unstable();
    format!("{name}{{{}}} {value}", parts.join(","))
}
