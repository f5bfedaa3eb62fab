//! What flags, environment and file say together.

use ksm_core::Settings;
use ksm_core::engine::default_names;
use ksm_core::joins::LabelJoins;
use ksm_core::options::{OptionErrors, Selection, ShardChoice};

use crate::events::Wanted;
use crate::events::export::Export;
use crate::file::File;
use crate::flags::{Flags, Given};

/// All options, checked.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) flags: Flags,
    pub(crate) resources: Vec<String>,
    pub(crate) settings: Settings,
    pub(crate) shard: ShardChoice,
    pub(crate) joins: LabelJoins,
    pub(crate) export: Option<Export>,
}

impl Options {
    /// The file that the flags name, and all together; a line for each fault.
    pub(crate) fn read(given: &Given) -> Result<(Self, File), Vec<String>> {
        let file = given.config.as_deref().map(File::read).transpose()?.unwrap_or_default();
        Ok((Self::resolve(given, &file)?, file))
    }

    pub(crate) fn resolve(given: &Given, file: &File) -> Result<Self, Vec<String>> {
        let flags = given.with(file)?;
        let mut problems = Vec::new();
        let mut tell = |errors: OptionErrors| {
            problems.extend(errors.0.iter().map(|error| given.placed(file, error.to_string())));
        };
        let Selection { resources, mut settings } = flags.filter.resolve(&[]).unwrap_or_else(|errors| {
            tell(errors);
            Selection { resources: None, settings: Settings::default() }
        });
        if let Err(errors) = flags.scopes.apply(&mut settings) {
            tell(errors);
        }
        let shard = flags.shards.resolve().unwrap_or_else(|errors| {
            tell(errors);
            ShardChoice::Fixed(ksm_core::Shard::ALL)
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let resources = resources.unwrap_or_else(|| default_names().into_iter().map(str::to_owned).collect());
        let (joins, export) = (file.joins.clone(), file.export.clone());
        Ok(Self { flags, resources, settings, shard, joins, export })
    }

    /// What events are wanted for, by the shard of that number.
    pub(crate) fn events(&self, ordinal: u32) -> Wanted {
        Wanted {
            namespaces: self.settings.namespaces.clone(),
            // Each shard shows its part of the counts; to be sent once, an event is sent by one.
            export: self.export.clone().filter(|_| ordinal == 0),
        }
    }

    /// Whether a resource is watched.
    pub(crate) fn watches(&self, name: &str) -> bool {
        self.resources.iter().any(|resource| resource == name)
    }
}
