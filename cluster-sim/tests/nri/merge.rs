//! The answers of several plugins → one outcome.

use cluster_sim::nri::api::{
    Container, ContainerAdjustment, ContainerUpdate, CreateContainerRequest, CreateContainerResponse, Event, Field,
    Hook, Hooks, KeyValue, LinuxContainerAdjustment, LinuxContainerUpdate, LinuxCpu, LinuxDevice, LinuxMemory,
    LinuxNamespace, LinuxPids, LinuxResources, Mount, OptionalInt, OptionalInt64, OptionalUInt64, PodSandbox,
    PosixRlimit, UpdateContainerRequest, UpdateContainerResponse, ValidateContainerAdjustmentRequest,
    ValidateContainerAdjustmentResponse,
};
use cluster_sim::nri::{Code, Created, Failure, Runtime, Trouble, Updated, Version};
use prost::Message;
use tokio::io::duplex;

use crate::plug::{Reply, live};

/// A runtime with a pod, joined by plugins `10-p`, `20-p` and so on that answer the creation of a container so.
async fn created(adjustments: Vec<ContainerAdjustment>, container: Container) -> (Result<Created, Failure>, Runtime) {
    let runtime = Runtime::builder(Version::V0_12).start();
    for (number, adjust) in adjustments.into_iter().enumerate() {
        let (near, far) = duplex(1 << 16);
        let index = format!("{}0", number + 1);
        live(near, (&index, "p"), 0x1fff, move |method, _| match method {
            "CreateContainer" => Reply::of(&CreateContainerResponse {
                adjust: Some(adjust.clone()),
                ..CreateContainerResponse::default()
            }),
            _ => Reply::Usual,
        });
        runtime.accept(far).await.unwrap();
    }
    let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();
    (runtime.create(&pod.id, container).await, runtime)
}

fn own(id: &str) -> Container {
    Container {
        id: id.to_owned(),
        env: vec!["A=1".to_owned(), "B=2".to_owned()],
        args: vec!["run".to_owned()],
        mounts: vec![mount("/data", "/old")],
        annotations: [("a".to_owned(), "1".to_owned())].into(),
        ..Container::default()
    }
}

fn mount(destination: &str, source: &str) -> Mount {
    Mount { destination: destination.to_owned(), source: source.to_owned(), ..Mount::default() }
}

fn env(entries: &[(&str, &str)]) -> ContainerAdjustment {
    let entry = |(key, value): &(&str, &str)| KeyValue { key: (*key).to_owned(), value: (*value).to_owned() };
    ContainerAdjustment { env: entries.iter().map(entry).collect(), ..ContainerAdjustment::default() }
}

fn annotations(entries: &[(&str, &str)]) -> ContainerAdjustment {
    let annotations = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ContainerAdjustment { annotations, ..ContainerAdjustment::default() }
}

fn mounts(mounts: Vec<Mount>) -> ContainerAdjustment {
    ContainerAdjustment { mounts, ..ContainerAdjustment::default() }
}

fn args(args: &[&str]) -> ContainerAdjustment {
    ContainerAdjustment { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..ContainerAdjustment::default() }
}

fn linux(linux: LinuxContainerAdjustment) -> ContainerAdjustment {
    ContainerAdjustment { linux: Some(linux), ..ContainerAdjustment::default() }
}

fn limited(limit: i64) -> LinuxResources {
    let memory = LinuxMemory { limit: Some(OptionalInt64 { value: limit }), ..LinuxMemory::default() };
    LinuxResources { memory: Some(memory), ..LinuxResources::default() }
}

fn shares(shares: u64) -> LinuxResources {
    let cpu = LinuxCpu { shares: Some(OptionalUInt64 { value: shares }), ..LinuxCpu::default() };
    LinuxResources { cpu: Some(cpu), ..LinuxResources::default() }
}

fn resources(resources: LinuxResources) -> ContainerAdjustment {
    linux(LinuxContainerAdjustment { resources: Some(resources), ..LinuxContainerAdjustment::default() })
}

#[tokio::test(start_paused = true)]
async fn adjustments_of_several_plugins_add_up() {
    let device = LinuxDevice { path: "/dev/x".to_owned(), ..LinuxDevice::default() };
    let (created, _) = created(
        vec![
            env(&[("C", "3"), ("A", "one")]),
            annotations(&[("b", "2")]),
            mounts(vec![mount("/new", "/x"), mount("/data", "/replaced")]),
            args(&["other"]),
            resources(limited(7)),
            resources(shares(9)),
            linux(LinuxContainerAdjustment { devices: vec![device.clone()], ..LinuxContainerAdjustment::default() }),
        ],
        own("c"),
    )
    .await;
    let Created { container, adjustment, updates } = created.unwrap();
    assert_eq!(container.env, ["A=one", "B=2", "C=3"]);
    assert_eq!(container.args, ["other"]);
    assert_eq!(
        container.annotations.into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]
    );
    assert_eq!(container.mounts, [mount("/new", "/x"), mount("/data", "/replaced")]);
    let linux = container.linux.unwrap();
    assert_eq!(linux.devices, [device]);
    let own = linux.resources.unwrap();
    assert_eq!((own.memory.unwrap().limit.unwrap().value, own.cpu.unwrap().shares.unwrap().value), (7, 9));
    assert_eq!((adjustment.env.len(), adjustment.mounts.len(), updates.len()), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn two_plugins_that_set_the_same_fail_the_container() {
    let named = |kind: &str| LinuxNamespace { r#type: kind.to_owned(), ..LinuxNamespace::default() };
    let linux_of = |change: fn(&mut LinuxContainerAdjustment)| {
        let mut adjust = LinuxContainerAdjustment::default();
        change(&mut adjust);
        linux(adjust)
    };
    let limit = PosixRlimit { r#type: "RLIMIT_NOFILE".to_owned(), hard: 1, soft: 1 };
    for (one, field, key) in [
        (env(&[("C", "3")]), Field::Env, "C"),
        (annotations(&[("b", "2")]), Field::Annotations, "b"),
        (mounts(vec![mount("/new", "/x")]), Field::Mounts, "/new"),
        (args(&["x"]), Field::Args, ""),
        (resources(limited(7)), Field::MemLimit, ""),
        (resources(shares(9)), Field::CpuShares, ""),
        (
            resources(LinuxResources { pids: Some(LinuxPids { limit: 1 }), ..LinuxResources::default() }),
            Field::PidsLimit,
            "",
        ),
        (
            resources(LinuxResources {
                unified: [("memory.high".to_owned(), "1".to_owned())].into(),
                ..LinuxResources::default()
            }),
            Field::CgroupsUnified,
            "memory.high",
        ),
        (linux_of(|linux| linux.cgroups_path = "/x".to_owned()), Field::CgroupsPath, ""),
        (linux_of(|linux| linux.oom_score_adj = Some(OptionalInt { value: 1 })), Field::OomScoreAdj, ""),
        (linux_of(|linux| drop(linux.sysctl.insert("a.b".to_owned(), "1".to_owned()))), Field::Sysctl, "a.b"),
        (
            linux(LinuxContainerAdjustment { namespaces: vec![named("-ipc")], ..LinuxContainerAdjustment::default() }),
            Field::Namespace,
            "ipc",
        ),
        (
            ContainerAdjustment { rlimits: vec![limit], ..ContainerAdjustment::default() },
            Field::Rlimits,
            "RLIMIT_NOFILE",
        ),
    ] {
        let (alone, _) = created(vec![one.clone()], own("c")).await;
        alone.unwrap();
        let (created, runtime) = created(vec![one.clone(), ContainerAdjustment::default(), one], own("c")).await;
        let (plugin, other) = ("30-p".to_owned(), "10-p".to_owned());
        assert_eq!(created.unwrap_err(), Failure::Conflict { plugin, other, field, key: key.to_owned() });
        assert!(runtime.containers().is_empty());
        // What was begun is undone, and everybody stays.
        let events = runtime.log().events();
        assert!(events.iter().any(|event| event.starts_with("10-p RemoveContainer")), "{events:?}");
        assert_eq!(runtime.plugins().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_first_may_be_set() {
    for (one, other) in [
        (env(&[("C", "3")]), env(&[("-C", ""), ("C", "4")])),
        (annotations(&[("b", "2")]), annotations(&[("-b", ""), ("b", "3")])),
        (mounts(vec![mount("/new", "/x")]), mounts(vec![mount("-/new", ""), mount("/new", "/y")])),
        (args(&["x"]), args(&["", "y"])),
    ] {
        let (created, _) = created(vec![one, other.clone()], own("c")).await;
        let Created { container, adjustment, .. } = created.unwrap();
        match () {
            () if !other.env.is_empty() => {
                assert_eq!(container.env, ["A=1", "B=2", "C=4"]);
                assert_eq!(adjustment.env, [KeyValue { key: "C".to_owned(), value: "4".to_owned() }]);
            }
            () if !other.annotations.is_empty() => {
                assert_eq!(container.annotations["b"], "3");
                assert_eq!(
                    adjustment.annotations.into_iter().collect::<Vec<_>>(),
                    [("-b".to_owned(), String::new()), ("b".to_owned(), "3".to_owned())]
                );
            }
            () if !other.mounts.is_empty() => {
                assert_eq!(container.mounts, [mount("/data", "/old"), mount("/new", "/y")]);
            }
            () => assert_eq!(container.args, ["y"]),
        }
    }
    // A third that sets it again is in conflict.
    let thrice = vec![env(&[("C", "3")]), env(&[("-C", ""), ("C", "4")]), env(&[("C", "5")])];
    let (created, _) = created(thrice, own("c")).await;
    assert!(matches!(created, Err(Failure::Conflict { plugin, other, .. }) if plugin == "30-p" && other == "20-p"));
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_alone_is_told_for_mounts_and_annotations_and_not_for_variables() {
    let (created, _) =
        created(vec![env(&[("-A", "")]), annotations(&[("-a", "")]), mounts(vec![mount("-/data", "")])], own("c"))
            .await;
    let Created { container, adjustment, .. } = created.unwrap();
    // The adaptation loses it.
    assert_eq!((container.env.as_slice(), adjustment.env.len()), (&["A=1".to_owned(), "B=2".to_owned()][..], 0));
    assert_eq!(adjustment.annotations.keys().collect::<Vec<_>>(), ["-a"]);
    assert_eq!(adjustment.mounts, [mount("-/data", "")]);
    assert!(container.mounts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn hooks_of_all_are_kept_and_later_plugins_see_what_earlier_ones_made() {
    let hook = |path: &str| Hook { path: path.to_owned(), ..Hook::default() };
    let hooks = |path: &str| ContainerAdjustment {
        hooks: Some(Hooks { prestart: vec![hook(path)], ..Hooks::default() }),
        ..env(&[(path, "1")])
    };
    let (created, runtime) = created(vec![hooks("x"), hooks("y")], own("c")).await;
    assert_eq!(created.unwrap().adjustment.hooks.unwrap().prestart, [hook("x"), hook("y")]);
    let asked: Vec<_> = runtime.log().calls().into_iter().filter(|call| call.method == "CreateContainer").collect();
    let env = |call: &cluster_sim::nri::Call| call.request::<CreateContainerRequest>().unwrap().container.unwrap().env;
    assert_eq!(env(&asked[0]), ["A=1", "B=2"]);
    assert_eq!(env(&asked[1]), ["A=1", "B=2", "x=1"]);
}

/// A container that is there, and plugins that answer an update of it so.
async fn updated(answers: Vec<Vec<ContainerUpdate>>, wanted: LinuxResources) -> (Result<Updated, Failure>, Runtime) {
    let runtime = Runtime::builder(Version::V0_12).start();
    for (number, update) in answers.into_iter().enumerate() {
        let (near, far) = duplex(1 << 16);
        live(near, (&format!("{}0", number + 1), "p"), 0, move |method, _| match method {
            "UpdateContainer" => {
                Reply::of(&UpdateContainerResponse { update: update.clone(), ..UpdateContainerResponse::default() })
            }
            _ => Reply::Usual,
        });
        runtime.accept(far).await.unwrap();
    }
    let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();
    for id in ["own", "other"] {
        runtime.create(&pod.id, Container { id: id.to_owned(), ..Container::default() }).await.unwrap();
    }
    (runtime.update("own", wanted).await, runtime)
}

fn update(id: &str, resources: LinuxResources, ignore_failure: bool) -> ContainerUpdate {
    let linux = Some(LinuxContainerUpdate { resources: Some(resources) });
    ContainerUpdate { container_id: id.to_owned(), linux, ignore_failure }
}

fn memory_of(runtime: &Runtime, id: &str) -> Option<i64> {
    let container = runtime.containers().into_iter().find(|container| container.id == id)?;
    Some(container.linux?.resources?.memory?.limit?.value)
}

#[tokio::test(start_paused = true)]
async fn an_update_is_what_plugins_make_of_it() {
    let (outcome, runtime) =
        updated(vec![vec![update("own", limited(5), false), update("other", limited(6), false)], vec![]], limited(1))
            .await;
    let Updated { resources, updates } = outcome.unwrap();
    assert_eq!(resources.memory.unwrap().limit.unwrap().value, 5);
    assert_eq!(updates.len(), 1);
    assert_eq!((memory_of(&runtime, "own"), memory_of(&runtime, "other")), (Some(5), Some(6)));
    // The second plugin was asked about what the first had made of it.
    let calls: Vec<_> = runtime.log().calls().into_iter().filter(|call| call.method == "UpdateContainer").collect();
    let asked: UpdateContainerRequest = calls[1].request().unwrap();
    assert_eq!(asked.linux_resources.unwrap().memory.unwrap().limit.unwrap().value, 5);
}

#[tokio::test(start_paused = true)]
async fn updates_are_in_conflict_unless_a_failure_is_ignored() {
    let one = |ignore| vec![update("own", limited(5), ignore)];
    let (outcome, runtime) = updated(vec![one(false), one(false)], limited(1)).await;
    assert!(matches!(outcome, Err(Failure::Conflict { field: Field::MemLimit, .. })));
    assert_eq!(memory_of(&runtime, "own"), None);
    let (outcome, runtime) = updated(vec![one(false), vec![update("own", limited(9), true)]], limited(1)).await;
    outcome.unwrap();
    assert_eq!(memory_of(&runtime, "own"), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_container_can_not_be_updated_by_the_answer_that_creates_it() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    live(near, ("10", "p"), 0, |method, _| match method {
        "CreateContainer" => Reply::of(&CreateContainerResponse {
            update: vec![update("c", limited(1), true)],
            ..CreateContainerResponse::default()
        }),
        _ => Reply::Usual,
    });
    runtime.accept(far).await.unwrap();
    let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();
    runtime.create(&pod.id, own("d")).await.unwrap();
    let created = runtime.create(&pod.id, own("c")).await;
    let (plugin, container) = ("10-p".to_owned(), "c".to_owned());
    assert_eq!(created.unwrap_err(), Failure::UpdatedWhileCreated { plugin, container });
}

#[tokio::test(start_paused = true)]
async fn validators_see_all_and_any_of_them_can_refuse() {
    for version in [Version::V0_10, Version::V0_12] {
        for (refuses, code) in [(false, None), (true, None), (false, Some(Code::Internal))] {
            let runtime = Runtime::builder(version).start();
            let (near, far) = duplex(1 << 16);
            live(near, ("10", "sets"), Event::CreateContainer.bit(), |method, _| match method {
                "CreateContainer" => Reply::of(&CreateContainerResponse {
                    adjust: Some(env(&[("C", "3")])),
                    ..CreateContainerResponse::default()
                }),
                _ => Reply::Usual,
            });
            runtime.accept(far).await.unwrap();
            let (near, far) = duplex(1 << 16);
            live(
                near,
                ("05", "judges"),
                Event::ValidateContainerAdjustment.bit(),
                move |method, payload| match method {
                    "ValidateContainerAdjustment" => {
                        let request = ValidateContainerAdjustmentRequest::decode(payload).unwrap();
                        assert_eq!(request.container.unwrap().env, ["A=1", "B=2"], "as it was asked for");
                        assert_eq!(request.adjust.unwrap().env.len(), 1);
                        let owners = &request.owners.unwrap().owners["c"];
                        assert_eq!(owners.compound[&(Field::Env as i32)].owners["C"], "10-sets");
                        let names: Vec<_> = request.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
                        assert_eq!(names, ["judges", "sets"]);
                        if let Some(code) = code {
                            return Reply::Status(code);
                        }
                        let reason = "as was wanted".to_owned();
                        Reply::of(&ValidateContainerAdjustmentResponse { reject: refuses, reason })
                    }
                    _ => Reply::Usual,
                },
            );
            runtime.accept(far).await.unwrap();
            let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();
            match runtime.create(&pod.id, own("c")).await {
                Ok(_) => assert!(!refuses && code.is_none()),
                Err(Failure::Rejected { plugin, reason }) => {
                    assert_eq!((plugin.as_str(), reason.as_str(), refuses), ("05-judges", "as was wanted", true));
                }
                Err(Failure::Plugin { plugin, trouble: Trouble::Status(status), .. }) => {
                    assert_eq!((plugin.as_str(), Some(status.code)), ("05-judges", code.map(|code| code as i32)));
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_validator_that_is_gone_has_not_agreed() {
    let runtime = Runtime::builder(Version::V0_12).start();
    let (near, far) = duplex(1 << 16);
    live(near, ("05", "judges"), 0, |method, _| match method {
        "ValidateContainerAdjustment" => Reply::Silence,
        _ => Reply::Usual,
    });
    runtime.accept(far).await.unwrap();
    let pod = runtime.run_pod(PodSandbox::default()).await.unwrap();
    let created = runtime.create(&pod.id, own("c")).await;
    assert!(matches!(created, Err(Failure::Plugin { trouble: Trouble::Timeout, .. })), "{created:?}");
    assert!(runtime.plugins().is_empty());
    runtime.create(&pod.id, own("c")).await.unwrap();
}
