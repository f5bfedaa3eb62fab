//! The checks: each does something in the machine and measures it. None of them judges.

mod hotplug;
mod log;
mod multiplexed;
mod removed;
mod work;

use std::future::Future;

use anyhow::Result;
use cgroup_perf::{CgroupPerf, loader::HookChoice};

use crate::{
    report::{Line, MARK},
    watch::Watch,
};

pub(crate) use log::Messages;

/// Runs them all, and prints a line for each.
pub(crate) async fn run(messages: &Messages) {
    let mut report = Report { lines: 0 };
    report.take("capabilities", capabilities()).await;
    for (name, hook) in [
        ("sched_switch", HookChoice::SchedSwitch),
        ("cgroup-switches", HookChoice::CgroupSwitches),
        ("raw sched_switch", HookChoice::SchedSwitchRaw),
    ] {
        match Watch::start(CgroupPerf::builder().hook(hook)).await {
            Ok(watch) => {
                for jobs in work::ALL {
                    report.take(jobs.name, work::work(jobs, name, &watch)).await;
                }
                report.fails("the end", watch.end().await);
            }
            Err(error) => report.fails(name, Err(error)),
        }
    }
    report.take("whole", work::whole()).await;
    report.take("multiplexed", multiplexed::multiplexed()).await;
    for (off, by, hook) in [
        (1_500, "sched_switch", HookChoice::SchedSwitch),
        (0, "sched_switch", HookChoice::SchedSwitch),
        (0, "cgroup-switches", HookChoice::CgroupSwitches),
    ] {
        report.take("hotplug", hotplug::hotplug(off, by, hook)).await;
    }
    report.take("removed", removed::removed()).await;
    report.take("log", log::log(messages)).await;
    let done = Line::Done { lines: report.lines };
    report.print(&done);
}

struct Report {
    lines: usize,
}

impl Report {
    /// A line for what failed.
    fn fails(&mut self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            self.print(&Line::Failed { what: what.to_owned(), error: format!("{error:#}") });
        }
    }

    async fn take(&mut self, what: &str, check: impl Future<Output = Result<Line>>) {
        let line =
            check.await.unwrap_or_else(|error| Line::Failed { what: what.to_owned(), error: format!("{error:#}") });
        self.print(&line);
    }

    fn print(&mut self, line: &Line) {
        self.lines += 1;
        match serde_json::to_string(line) {
            Ok(text) => println!("{MARK}{} {text}", crate::machine::uptime()),
            Err(error) => println!("a line cannot be written: {error}"),
        }
    }
}

/// What the defaults get: cycles, instructions, and no misses of a cache that the emulator does not have.
async fn capabilities() -> Result<Line> {
    let perf = CgroupPerf::builder().start().await?;
    let given = perf.capabilities();
    let line = Line::Capabilities(crate::report::Given {
        kernel: crate::machine::kernel(),
        hook: format!("{:?}", given.hook),
        timer: format!("{:?}", given.timer),
        timer_reason: given.timer_reason.clone(),
        hierarchy: format!("{:?}", given.hierarchy.layout),
        groups: given.groups,
        hardware: given.hardware(),
        counters: given.counters.iter().map(|counter| counter.name.clone()).collect(),
        missing: given.missing.iter().map(ToString::to_string).collect(),
        text: given.to_string(),
    });
    perf.shutdown().await;
    Ok(line)
}
