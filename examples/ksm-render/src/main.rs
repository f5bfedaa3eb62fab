//! Renders Kubernetes objects from files as kube-state-metrics would show them.

mod bad_values;
mod json;
mod render;
mod report;
mod yaml;

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use ksm_core::catalog::Catalog;
use ksm_core::engine::builtin_names;
use ksm_core::options::FilterFlags;
use ksm_core::{Exposition, Format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::bad_values::BadValues;
use crate::render::Renderer;

const EXAMPLES: &str = "\
Examples:
  kubectl get pods,nodes -A -o json | ksm-render
  ksm-render --resources pods --metric-allowlist '^kube_pod_status' pods.yaml
  ksm-render --metric-labels-allowlist 'pods=[app],nodes=[*]' --format openmetrics dump/*.json

Exit status:
  0 if all was rendered
  1 if something could not be read: it is named on standard error, and everything else is rendered
  2 if the flags are wrong

Objects of kinds without metrics are named and counted on standard error, and are no fault.";

/// Kubernetes objects in, metrics out: what kube-state-metrics would show of them.
///
/// Reads JSON and YAML: single objects, lists (List, PodList, ...), JSON lines, several documents in one file. Without
/// --resources, objects of all kinds that have metrics are rendered.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Files to read; `-` or none at all: standard input
    files: Vec<PathBuf>,
    #[command(flatten)]
    filter: FilterFlags,
    /// The exposition format
    #[arg(long, value_enum, default_value = "text", help_heading = "What is shown")]
    format: FormatName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    /// Prometheus text 0.0.4
    Text,
    /// OpenMetrics 1.0.0
    Openmetrics,
    /// Prometheus' protobuf, each message after its length
    Protobuf,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Text => Self::Text,
            FormatName::Openmetrics => Self::OpenMetrics,
            FormatName::Protobuf => Self::Protobuf,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let selection = match arguments.filter.resolve(&[]) {
        Ok(selection) => selection,
        Err(errors) => {
            for error in errors.0 {
                eprintln!("ksm-render: {error}");
            }
            return ExitCode::from(2);
        }
    };
    let resources = selection.resources.unwrap_or_else(|| builtin_names().into_iter().map(str::to_owned).collect());
    let catalog = match Catalog::new(&resources, &selection.settings) {
        Ok(catalog) => catalog,
        Err(error) => {
            eprintln!("ksm-render: {error}");
            return ExitCode::from(2);
        }
    };
    let bad_values = BadValues::default();
    tracing_subscriber::registry().with(bad_values.clone()).init();
    let all_read = read_all(&arguments.files, &catalog, &bad_values);
    match write(catalog.exposition(arguments.format.into())) {
        // Who reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ksm-render: standard output can't be written: {error}");
            ExitCode::FAILURE
        }
        Ok(()) if all_read => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

/// Whether all could be read.
fn read_all(files: &[PathBuf], catalog: &Catalog, bad_values: &BadValues) -> bool {
    let mut renderer = Renderer::new(catalog, bad_values);
    let stdin = [PathBuf::from("-")];
    for file in if files.is_empty() { &stdin } else { files } {
        let name = if file == Path::new("-") { "standard input".into() } else { file.display().to_string() };
        match read(file) {
            Ok(bytes) => renderer.input(&name, &bytes),
            Err(error) => renderer.report().fault(&name, &format_args!("can't be read: {error}")),
        }
    }
    for (kind, stats) in catalog.stats() {
        if stats.oversize > 0 {
            let what = format!("{} samples left out: their text is longer than 1 MiB", stats.oversize);
            renderer.report().fault(&kind.resource, &what);
        }
    }
    renderer.finish().finish()
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return fs::read(file);
    }
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        eprintln!("ksm-render: reading objects from the terminal: end them with Ctrl-D, or see --help");
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(exposition: Exposition) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for block in exposition.blocks() {
        stdout.write_all(&block)?;
    }
    stdout.flush()
}
