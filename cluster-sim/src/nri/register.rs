//! The first step of a plugin: it connects, and says who it is.

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::api::RegisterPluginRequest;
use super::client::Client;
use super::envelope::Status;
use super::server::{Registration, Update, serve};
use super::trouble::{Code, Trouble};
use super::trunk::{Stream, Trunk};
use super::version::{Profile, Version};

/// A plugin that has registered, and not been answered.
pub(super) struct Registered {
    pub(super) trunk: Trunk,
    pub(super) client: Client,
    pub(super) registration: Registration,
}

/// Hangs up when nobody waits for the plugin any more.
struct Undone(Option<Trunk>);

impl Drop for Undone {
    fn drop(&mut self) {
        if let Some(trunk) = &self.0 {
            trunk.hang_up();
        }
    }
}

/// Waits for a plugin to register. One with a wrong name is told so, and its connection stays open, as Go has it.
pub(super) async fn register(
    profile: &Profile,
    stream: impl Stream,
    update: Update,
    end: &CancellationToken,
) -> Result<Registered, Trouble> {
    let (trunk, answers, requests) = Trunk::open(stream, profile.version.longest_frame(), end);
    let mut undone = Undone(Some(trunk.clone()));
    let client = Client::new(trunk.clone(), answers);
    let (registered, mut registrations) = mpsc::channel(1);
    tokio::spawn(serve(requests, trunk.clone(), registered, update));
    let came = async {
        tokio::select! {
            biased;
            came = registrations.recv() => came,
            () = trunk.closed() => None,
        }
    };
    let registration = match timeout(profile.registration_timeout, came).await {
        Ok(Some(came)) => came,
        Ok(None) => return Err(trunk.breach().map_or(Trouble::Closed, Trouble::Breach)),
        Err(_) => {
            trunk.close().await;
            return Err(Trouble::NotRegistered);
        }
    };
    if let Err(trouble) = check(profile.version, &registration.request) {
        let about = if matches!(trouble, Trouble::InvalidName(_)) { "name" } else { "index" };
        let status = Status::new(Code::Unknown, format!("invalid plugin {about}: {trouble}"));
        registration.answer(&trunk, Err(status)).await;
        undone.0 = None;
        return Err(trouble);
    }
    undone.0 = None;
    Ok(Registered { trunk, client, registration })
}

fn check(version: Version, request: &RegisterPluginRequest) -> Result<(), Trouble> {
    let RegisterPluginRequest { plugin_name: name, plugin_idx: index, .. } = request;
    let is_of_name = |char: char| char.is_ascii_alphanumeric() || "-_.+".contains(char);
    if name.is_empty() || (version >= Version::V0_12 && !name.chars().all(is_of_name)) {
        return Err(Trouble::InvalidName(name.clone()));
    }
    if index.len() != 2 || !index.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Trouble::InvalidIndex(index.clone()));
    }
    Ok(())
}
