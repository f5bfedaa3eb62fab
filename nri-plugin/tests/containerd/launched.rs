//! A plugin that containerd starts itself: this very program, called by a file in its plugin directory.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use nix::sys::signal::Signal;
use nri_plugin::api::{Container, ContainerAdjustment, CreateContainerResponse, EventMask, PodSandbox};
use nri_plugin::launch::{Launch, Options};
use nri_plugin::{Answer, Configuration, Connector, Endpoint, Plugin, Session};
use parking_lot::Mutex;
use serde_json::json;

use super::node::{each, until};

/// Annotates each container with what it was told.
#[derive(Debug, Default)]
struct Launched {
    configuration: Mutex<String>,
}

impl Plugin for Launched {
    async fn configure(&self, configuration: Configuration) -> Answer<EventMask> {
        *self.configuration.lock() = configuration.text;
        Ok(configuration.events)
    }

    async fn create_container(&self, _: PodSandbox, _: Container) -> Answer<CreateContainerResponse> {
        let annotations = BTreeMap::from([
            ("tests/configuration".to_owned(), self.configuration.lock().clone()),
            ("tests/process".to_owned(), std::process::id().to_string()),
        ]);
        let adjust = ContainerAdjustment { annotations, ..ContainerAdjustment::default() };
        Ok(CreateContainerResponse { adjust: Some(adjust), ..CreateContainerResponse::default() })
    }
}

#[tokio::test]
#[ignore = "containerd calls it, by the test below"]
async fn the_plugin() {
    if env::var_os("NRI_PLUGIN_SOCKET").is_none() {
        return println!("skipped: no runtime has called it");
    }
    let launch = Launch::detect(&Options::default()).unwrap();
    assert!(matches!(launch.endpoint, Endpoint::Inherited(_)), "{launch:?}");
    let session = Session::builder(launch.identity, Arc::new(Launched::default()));
    Connector::builder(session).spawn(launch.endpoint).ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containerd_launches_a_plugin_with_its_configuration_and_ends_it() {
    each(async |node| {
        node.stop_daemon(Signal::SIGTERM);
        // Nothing is in the environment, and the connection is open.
        let program = env::current_exe().unwrap();
        let script = format!("#!/bin/sh\nexec '{}' --exact launched::the_plugin --ignored\n", program.display());
        let file = node.plugins().join("10-launched");
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(node.plugin_configurations().join("10-launched.conf"), "level: 3\n").unwrap();
        node.start_daemon();
        node.ready().await;

        let pod = node.run_pod("pod").await;
        let id = node.run(&pod, "main").await;
        let annotations = &node.oci_spec(&id)["annotations"];
        assert_eq!(annotations["tests/configuration"], json!("level: 3\n"));
        let process = format!("/proc/{}/exe", annotations["tests/process"].as_str().unwrap());
        assert_eq!(fs::read_link(&process).unwrap(), program);
        node.stop_daemon(Signal::SIGTERM);
        until("the plugin's end", || fs::read_link(&process).is_err()).await;
        fs::remove_file(file).unwrap();
    })
    .await;
}
