//! What a runtime tells a plugin.

use std::time::Duration;

use crate::api::{ConfigureRequest, EventMask, RuntimeInfo};

/// What the runtime told, and the events that there are for the plugin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Configuration {
    /// The text of the plugin's configuration file. Empty if there is none, and for plugins that the runtime did not
    /// launch.
    pub text: String,
    /// The runtime.
    pub runtime: RuntimeInfo,
    /// How long the runtime waits for an answer; `None` before NRI 0.7, which does not tell.
    pub request_timeout: Option<Duration>,
    /// How long the runtime waits for a plugin that has connected to register; `None` before NRI 0.7.
    pub registration_timeout: Option<Duration>,
    /// The events that the plugin handles and the runtime knows.
    pub events: EventMask,
}

impl Configuration {
    pub(super) fn new(request: &ConfigureRequest, events: EventMask) -> Self {
        let millis = |millis: i64| u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis);
        Self {
            text: request.config.clone(),
            runtime: request.into(),
            request_timeout: millis(request.request_timeout),
            registration_timeout: millis(request.registration_timeout),
            events,
        }
    }
}

/// The configuration can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the plugin's configuration can't be read as {format}: {source}")]
pub struct BadConfiguration {
    format: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

#[cfg(any(feature = "json", feature = "toml", feature = "yaml"))]
impl Configuration {
    fn read<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        &self,
        format: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, BadConfiguration> {
        let text = self.text.trim();
        let value = (!text.is_empty()).then(|| read(text)).transpose();
        value.map_err(|error| BadConfiguration { format, source: error.into() })
    }

    /// The text as JSON; `None` if it is empty.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, BadConfiguration> {
        self.read("JSON", |text| serde_json::from_str(text))
    }

    /// The text as TOML; `None` if it is empty.
    #[cfg(feature = "toml")]
    pub fn toml<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, BadConfiguration> {
        self.read("TOML", |text| toml::from_str(text))
    }

    /// The text as YAML; `None` if it is empty.
    #[cfg(feature = "yaml")]
    pub fn yaml<T: serde::de::DeserializeOwned>(&self) -> Result<Option<T>, BadConfiguration> {
        self.read("YAML", |text| serde_saphyr::from_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_that_are_not_told_are_none() {
        let request =
            ConfigureRequest { request_timeout: 2000, registration_timeout: -1, ..ConfigureRequest::default() };
        let told = Configuration::new(&request, EventMask::ALL);
        assert_eq!((told.request_timeout, told.registration_timeout), (Some(Duration::from_secs(2)), None));
        assert_eq!(Configuration::new(&ConfigureRequest::default(), EventMask::ALL).request_timeout, None);
    }

    #[cfg(all(feature = "json", feature = "toml", feature = "yaml"))]
    #[test]
    fn text_is_read_in_the_format_that_the_plugin_chose() {
        use std::collections::BTreeMap;

        let of = |config: &str| {
            let request = ConfigureRequest { config: config.to_owned(), ..ConfigureRequest::default() };
            Configuration::new(&request, EventMask::ALL)
        };
        let expected = Some(BTreeMap::from([("level".to_owned(), 3)]));
        assert_eq!(of(r#"{"level": 3}"#).json().unwrap(), expected);
        assert_eq!(of("level = 3").toml().unwrap(), expected);
        assert_eq!(of("level: 3\n").yaml().unwrap(), expected);
        assert_eq!(of(" \n").yaml::<u8>().unwrap(), None);
        let error = of("level = ").toml::<BTreeMap<String, u8>>().unwrap_err().to_string();
        assert!(error.starts_with("the plugin's configuration can't be read as TOML: "), "{error}");
    }
}
