//! A simulated runtime, whose pods come and go.

use std::path::PathBuf;

use anyhow::Context;
use cluster_sim::nri::{Runtime, Version};
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub(crate) struct Simulated {
    directory: TempDir,
    driver: JoinHandle<()>,
}

impl Simulated {
    pub(crate) async fn start(rate: f64) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("no directory for the socket of the simulated runtime")?;
        let runtime = Runtime::builder(Version::V0_12).start();
        runtime.listen(directory.path().join("nri.sock")).await?;
        let driver = tokio::spawn(async move {
            runtime.drive(rate, std::future::pending::<()>()).await;
        });
        Ok(Self { directory, driver })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("nri.sock")
    }

    pub(crate) async fn shutdown(self) {
        self.driver.abort();
        let _ = self.driver.await;
    }
}
