//! The messages of the programs in the kernel.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use cgroup_perf::{CgroupPerf, loader::Options};

use crate::report::Line;

/// What a subscriber of `tracing` wrote.
#[derive(Debug, Clone, Default)]
pub(crate) struct Messages(Arc<Mutex<Vec<u8>>>);

impl Messages {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) async fn log(messages: &Messages) -> Result<Line> {
    let before = messages.lines().len();
    let mut options = Options::default();
    options.kernel_log = true;
    let perf = CgroupPerf::builder().options(options).start().await?;
    // Messages are fetched four times a second.
    tokio::time::sleep(Duration::from_millis(600)).await;
    perf.shutdown().await;
    Ok(Line::Log { messages: messages.lines().split_off(before) })
}
