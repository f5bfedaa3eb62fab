//! Where each member of a document ends up.

use kubelet_summary::schema::{Amount, InterfaceStats, PvcRef};
use kubelet_summary::{Parts, Summary};
use serde_json::{Value, json};

fn at(second: u32) -> String {
    format!("2026-01-01T00:00:{second:02}Z")
}

fn fs(first: u64) -> Value {
    json!({"time": at(5), "availableBytes": first, "capacityBytes": first + 1, "usedBytes": first + 2,
           "inodesFree": first + 3, "inodes": first + 4, "inodesUsed": first + 5})
}

fn psi(first: u64) -> Value {
    json!({"full": {"total": first, "avg10": 0.01, "avg60": 1.23, "avg300": 100},
           "some": {"total": first + 1, "avg10": 0, "avg60": 0, "avg300": 0}})
}

fn interface(name: &str, first: u64) -> Value {
    json!({"name": name, "rxBytes": first, "rxErrors": first + 1, "txBytes": first + 2, "txErrors": first + 3})
}

fn network(first: u64) -> Value {
    let mut network = interface("eth0", first);
    network["time"] = json!(at(6));
    network["interfaces"] = json!([interface("eth0", first), interface("eth1", first + 10)]);
    network
}

fn cpu(first: u64) -> Value {
    json!({"time": at(1), "usageNanoCores": first, "usageCoreNanoSeconds": first + 1, "psi": psi(first + 2)})
}

fn memory(first: u64) -> Value {
    json!({"time": at(2), "availableBytes": first, "usageBytes": first + 1, "workingSetBytes": first + 2,
           "rssBytes": first + 3, "pageFaults": first + 4, "majorPageFaults": first + 5, "psi": psi(first + 6)})
}

fn swap(first: u64) -> Value {
    json!({"time": at(4), "swapAvailableBytes": first, "swapUsageBytes": first + 1})
}

fn container(name: &str) -> Value {
    json!({"name": name, "startTime": at(0), "cpu": cpu(10), "memory": memory(20),
           "io": {"time": at(3), "psi": psi(30)}, "swap": swap(40), "rootfs": fs(50), "logs": fs(60),
           "accelerators": [{"make": "nvidia", "model": "P100", "id": "g0", "memoryTotal": 9, "memoryUsed": 8,
                             "dutyCycle": 7}],
           "userDefinedMetrics": [{"name": "qps", "type": "gauge", "units": "1/s", "labels": {"a": "b"},
                                   "time": at(7), "value": 1.5}]})
}

/// A document with every member there is.
pub(crate) fn full() -> Value {
    json!({
        "node": {"nodeName": "n1", "startTime": at(0), "systemContainers": [container("kubelet")], "cpu": cpu(100),
                 "memory": memory(110), "io": {"time": at(3), "psi": psi(120)}, "network": network(130),
                 "fs": fs(200), "runtime": {"imageFs": fs(210), "containerFs": fs(220)},
                 "rlimit": {"time": at(8), "maxpid": 32768, "curproc": 400}, "swap": swap(230)},
        "pods": [{"podRef": {"name": "web-1", "namespace": "shop", "uid": "u1"}, "startTime": at(0),
                  "containers": [container("app")], "cpu": cpu(300), "memory": memory(310),
                  "io": {"time": at(3), "psi": psi(320)}, "network": network(330),
                  "volume": [{"time": at(5), "availableBytes": 1, "capacityBytes": 2, "usedBytes": 3, "inodesFree": 4,
                              "inodes": 5, "inodesUsed": 6, "name": "data",
                              "pvcRef": {"name": "claim", "namespace": "shop"}},
                             {"usedBytes": 7, "name": "tmp"}],
                  "ephemeral-storage": fs(400), "process_stats": {"process_count": 12}, "swap": swap(410)}]
    })
}

#[test]
fn every_member_finds_its_field() {
    let decoded = Summary::from_slice_keeping(full().to_string().as_bytes(), Parts::ALL).unwrap();
    assert!(decoded.skipped.is_clean(), "{:?}", decoded.skipped);
    let node = &decoded.summary.node;
    assert_eq!((&*node.node_name, node.start_time.unwrap().to_string()), ("n1", at(0)));
    let counts = |amounts: &[Amount]| amounts.iter().map(|amount| amount.get().unwrap()).collect::<Vec<_>>();
    let filesystem = |fs: kubelet_summary::schema::FsStats| {
        assert_eq!(fs.time.unwrap().to_string(), at(5));
        let size = fs.size;
        counts(&[
            size.available_bytes,
            size.capacity_bytes,
            fs.used_bytes,
            size.inodes_free,
            size.inodes,
            fs.inodes_used,
        ])
    };
    let row = |first: u64, length: u64| (first..first + length).collect::<Vec<_>>();
    assert_eq!(filesystem(node.fs), row(200, 6));
    assert_eq!(filesystem(node.image_fs), row(210, 6));
    assert_eq!(filesystem(node.container_fs), row(220, 6));
    assert_eq!(node.rlimit_time.unwrap().to_string(), at(8));
    assert_eq!(counts(&[node.max_pid, node.processes]), [32768, 400]);

    let pod = &decoded.summary.pods[0];
    assert_eq!((pod.pod_ref.namespace(), pod.pod_ref.name(), pod.pod_ref.uid()), ("shop", "web-1", "u1"));
    assert_eq!(filesystem(pod.ephemeral_storage.stats()), row(400, 6));
    assert_eq!(pod.process_count.get(), Some(12));
    let [data, tmp] = &*pod.volumes else { panic!("two volumes") };
    assert_eq!(filesystem(data.fs), row(1, 2).into_iter().chain(row(3, 4)).collect::<Vec<_>>());
    assert_eq!(data.pvc_ref.first(), Some(&PvcRef { namespace: "shop".into(), name: "claim".into() }));
    assert_eq!((&*tmp.name, tmp.fs.used_bytes.get(), tmp.pvc_ref.len()), ("tmp", Some(7), 0));

    for (owner, network, first) in [("node", &node.network, 130), ("pod", &pod.network, 330)] {
        let network = network.first().unwrap();
        assert_eq!(network.time.unwrap().to_string(), at(6), "{owner}");
        let interface = |interface: &InterfaceStats| {
            let InterfaceStats { name, rx_bytes, rx_errors, tx_bytes, tx_errors } = interface;
            (name.to_string(), counts(&[*rx_bytes, *rx_errors, *tx_bytes, *tx_errors]))
        };
        assert_eq!(interface(&network.default), ("eth0".to_owned(), row(first, 4)), "{owner}");
        let each: Vec<_> = network.interfaces.iter().map(interface).collect();
        assert_eq!(each, [("eth0".to_owned(), row(first, 4)), ("eth1".to_owned(), row(first + 10, 4))], "{owner}");
    }

    let (app, kubelet) = (&pod.containers[0], &node.system_containers[0]);
    assert_eq!((&*app.name, &*kubelet.name), ("app", "kubelet"));
    let parts = [
        (&app.cpu, &app.memory, app.pressure(), app.swap(), [10, 20, 30, 40]),
        (&kubelet.cpu, &kubelet.memory, kubelet.pressure(), kubelet.swap(), [10, 20, 30, 40]),
        (&node.cpu, &node.memory, node.pressure(), node.swap(), [100, 110, 120, 230]),
        (&pod.cpu, &pod.memory, pod.pressure(), pod.swap(), [300, 310, 320, 410]),
    ];
    for (cpu, memory, pressure, swap, [cpu_at, memory_at, io_at, swap_at]) in parts {
        assert_eq!(cpu.time.unwrap().to_string(), at(1));
        assert_eq!(counts(&[cpu.usage_nano_cores, cpu.usage_core_nano_seconds]), row(cpu_at, 2));
        assert_eq!(memory.time.unwrap().to_string(), at(2));
        let figures = [
            memory.available_bytes,
            memory.usage_bytes,
            memory.working_set_bytes,
            memory.rss_bytes,
            memory.page_faults,
            memory.major_page_faults,
        ];
        assert_eq!(counts(&figures), row(memory_at, 6));
        let pressure = pressure.unwrap();
        let each = [(pressure.cpu, 1, cpu_at + 2), (pressure.memory, 2, memory_at + 6), (pressure.io, 3, io_at)];
        for (psi, second, first) in each {
            assert_eq!(psi.time.unwrap().to_string(), at(second));
            assert_eq!(counts(&[psi.full.total, psi.some.total]), row(first, 2));
            let averages = [psi.full.avg10, psi.full.avg60, psi.full.avg300, psi.some.avg10];
            assert_eq!(averages.map(|average| average.get().unwrap().to_string()), ["0.01", "1.23", "100", "0"]);
        }
        assert_eq!(swap.time.unwrap().to_string(), at(4));
        assert_eq!(counts(&[swap.available_bytes, swap.usage_bytes]), row(swap_at, 2));
    }
    assert_eq!(filesystem(app.rootfs.stats()), row(50, 6));
    assert_eq!(filesystem(app.logs.stats()), row(60, 6));
    let [gpu] = app.accelerators() else { panic!("one accelerator") };
    assert_eq!((&*gpu.make, &*gpu.model, &*gpu.id), ("nvidia", "P100", "g0"));
    assert_eq!(counts(&[gpu.memory_total, gpu.memory_used, gpu.duty_cycle]), [9, 8, 7]);
    let [metric] = app.user_metrics() else { panic!("one metric") };
    assert_eq!((&*metric.name, &*metric.kind, &*metric.units, metric.value), ("qps", "gauge", "1/s", Some(1.5)));
    assert_eq!(metric.labels[0], ("a".into(), "b".into()));
    assert_eq!(metric.time.unwrap().to_string(), at(7));
}

/// What is in a summary, by the names of the parts.
fn kept(summary: &Summary) -> Parts {
    let (node, pod) = (&summary.node, &summary.pods[0]);
    let app = pod.containers.first();
    let network = pod.network.first();
    let there = [
        (Parts::CPU, !pod.cpu.usage_core_nano_seconds.is_absent() && pod.cpu.time.is_some()),
        (Parts::MEMORY, !pod.memory.rss_bytes.is_absent() && pod.memory.time.is_some()),
        (Parts::SWAP, pod.swap().time.is_some() && node.swap().time.is_some()),
        (Parts::PRESSURE, pod.pressure().is_some() && node.pressure().is_some()),
        (Parts::NETWORK, network.is_some_and(|network| !network.default.rx_bytes.is_absent())),
        (Parts::INTERFACES, network.is_some_and(|network| !network.interfaces.is_empty())),
        (Parts::EPHEMERAL_STORAGE, !pod.ephemeral_storage.used_bytes.is_absent()),
        (Parts::CONTAINER_FS, app.is_some_and(|app| !app.logs.used_bytes.is_absent())),
        (Parts::VOLUMES, !pod.volumes.is_empty()),
        (Parts::NODE_FS, !node.fs.used_bytes.is_absent() && !node.image_fs.used_bytes.is_absent()),
        (Parts::PROCESSES, !pod.process_count.is_absent() && !node.max_pid.is_absent()),
        (Parts::ACCELERATORS, app.is_some_and(|app| !app.accelerators().is_empty())),
        (Parts::USER_METRICS, app.is_some_and(|app| !app.user_metrics().is_empty())),
        (Parts::CONTAINERS, app.is_some()),
        (Parts::SYSTEM_CONTAINERS, !node.system_containers.is_empty()),
    ];
    there.into_iter().filter(|(_, there)| *there).fold(Parts::NONE, |all, (part, _)| all | part)
}

#[test]
fn only_the_parts_asked_for_are_kept() {
    let document = full().to_string();
    let whole = Summary::from_slice_keeping(document.as_bytes(), Parts::ALL).unwrap().summary;
    assert_eq!(kept(&whole), Parts::ALL);
    let single = (0..15).map(|bit| {
        let all = [
            Parts::CPU,
            Parts::MEMORY,
            Parts::SWAP,
            Parts::PRESSURE,
            Parts::NETWORK,
            Parts::EPHEMERAL_STORAGE,
            Parts::VOLUMES,
            Parts::NODE_FS,
            Parts::PROCESSES,
            Parts::CONTAINERS,
            Parts::SYSTEM_CONTAINERS,
            Parts::NETWORK | Parts::INTERFACES,
            Parts::CONTAINERS | Parts::CONTAINER_FS,
            Parts::CONTAINERS | Parts::ACCELERATORS,
            Parts::CONTAINERS | Parts::USER_METRICS,
        ];
        all[bit]
    });
    for parts in single.chain([Parts::NONE, Parts::STORAGE, Parts::CPU_AND_MEMORY, Parts::USAGE]) {
        let decoded = Summary::from_slice_keeping(document.as_bytes(), parts).unwrap();
        assert_eq!(kept(&decoded.summary), parts);
        assert!(decoded.skipped.is_clean());
        assert_eq!(decoded.summary.pods[0].pod_ref, whole.pods[0].pod_ref);
    }
    assert_eq!(
        Summary::from_slice(document.as_bytes()).unwrap(),
        Summary::from_slice_keeping(document.as_bytes(), Parts::USAGE).unwrap()
    );
}
