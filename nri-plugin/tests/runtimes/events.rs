//! Events, their answers, and what the runtime makes of them.

use std::sync::Arc;

use nri_plugin::api::{Event, EventMask};

use crate::driver::Driver;
use crate::plugins::{All, Creates, builder, changes, container, env, join, memory, pod, shares, update};

pub(crate) async fn the_life_of_a_pod_comes_in_order(mut runtime: impl Driver) {
    let all = Arc::new(All::default());
    let _session = join(&runtime, builder("10", &all)).await;
    all.take();
    let known = runtime.kind().known();
    let (pod, container) = (pod("a"), container("b", "a"));
    let life = [
        Event::RunPodSandbox,
        Event::CreateContainer,
        Event::ValidateContainerAdjustment,
        Event::PostCreateContainer,
        Event::StartContainer,
        Event::PostStartContainer,
        Event::UpdateContainer,
        Event::PostUpdateContainer,
        Event::UpdatePodSandbox,
        Event::PostUpdatePodSandbox,
        Event::StopContainer,
        Event::RemoveContainer,
        Event::StopPodSandbox,
        Event::RemovePodSandbox,
    ];
    for event in life.into_iter().filter(|event| known.contains(*event)) {
        let (pod, container) = (pod.clone(), container.clone());
        match event {
            Event::CreateContainer => drop(runtime.create(pod, container).await.unwrap()),
            // Comes with the creation.
            Event::ValidateContainerAdjustment => {}
            Event::UpdateContainer => drop(runtime.update(pod, container, shares(100)).await.unwrap()),
            Event::StopContainer => drop(runtime.stop_container(pod, container).await.unwrap()),
            Event::UpdatePodSandbox => runtime.update_pod(pod, shares(1), shares(2)).await.unwrap(),
            event => runtime.event(event, pod, container).await.unwrap(),
        }
    }
    let came = all.take();
    let names: Vec<_> = came.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(names, life.into_iter().filter(|event| known.contains(*event)).map(Event::name).collect::<Vec<_>>());
    for (name, of, it) in came {
        assert_eq!(of, pod, "{name}");
        if !EventMask::POD.contains(Event::from_name(&name).unwrap()) {
            assert_eq!(it, container, "{name}");
        }
    }
}

pub(crate) async fn a_creation_gets_what_the_plugin_wants(mut runtime: impl Driver) {
    let mut creates = Creates::new("KEY", "value");
    creates.updates = vec![update("other", shares(10)), update("third", memory(20))];
    let _session = join(&runtime, builder("10", &Arc::new(creates))).await;
    let (adjustment, updates) = runtime.create(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(env(&adjustment), [("KEY", "value")]);
    assert_eq!(changes(updates), [("other".to_owned(), Some(10), None), ("third".to_owned(), None, Some(20))]);
}

pub(crate) async fn plugins_are_called_by_index_and_each_sees_what_those_before_it_did(mut runtime: impl Driver) {
    let mut last = Creates::new("LAST", "2");
    last.updates = vec![update("other", shares(10))];
    let mut first = Creates::new("FIRST", "1");
    first.updates = vec![update("other", memory(20)), update("third", shares(30))];
    let (first, last) = (Arc::new(first), Arc::new(last));
    let _sessions = [join(&runtime, builder("20", &last)).await, join(&runtime, builder("10", &first)).await];
    let (adjustment, updates) = runtime.create(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(*first.env_before.lock(), ["HOME=/"]);
    assert_eq!(*last.env_before.lock(), ["HOME=/", "FIRST=1"]);
    assert_eq!(env(&adjustment), [("FIRST", "1"), ("LAST", "2")]);
    assert_eq!(changes(updates), [("other".to_owned(), Some(10), Some(20)), ("third".to_owned(), Some(30), None)]);
}

pub(crate) async fn plugins_that_want_the_same_fail_the_container(mut runtime: impl Driver) {
    let (one, two) = (Arc::new(Creates::new("KEY", "1")), Arc::new(Creates::new("KEY", "2")));
    let session = join(&runtime, builder("10", &one)).await;
    let _other = join(&runtime, builder("20", &two)).await;
    let failed = runtime.create(pod("a"), container("b", "a")).await.unwrap_err();
    assert!(failed.contains("KEY"), "{failed}");
    // Neither is the worse for it, and alone each gets what it wants.
    assert_eq!(*two.env_before.lock(), ["HOME=/", "KEY=1"]);
    session.shutdown().await.unwrap();
    let (adjustment, _) = runtime.create(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(env(&adjustment), [("KEY", "2")]);
}

pub(crate) async fn a_plugin_may_replace_what_another_one_gave(mut runtime: impl Driver) {
    let one = Arc::new(Creates::new("KEY", "1"));
    let two = Arc::new(Creates { replaces: true, ..Creates::new("KEY", "2") });
    let _sessions = [join(&runtime, builder("10", &one)).await, join(&runtime, builder("20", &two)).await];
    let (adjustment, _) = runtime.create(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(env(&adjustment), [("KEY", "2")]);
}

pub(crate) async fn updates_come_with_the_answers_to_an_update_and_a_stop(mut runtime: impl Driver) {
    let _session = join(&runtime, builder("10", &Arc::new(All::default()))).await;
    let updates = runtime.update(pod("a"), container("b", "a"), shares(100)).await.unwrap();
    assert_eq!(changes(updates), [("b".to_owned(), Some(50), None), ("other".to_owned(), Some(150), None)]);
    let updates = runtime.stop_container(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(changes(updates), [("other".to_owned(), Some(200), None)]);
}

pub(crate) async fn a_validator_accepts_and_rejects(mut runtime: impl Driver) {
    let creates = Arc::new(Creates::new("FORBIDDEN", "nobody"));
    let _validator = join(&runtime, builder("10", &Arc::new(All::default()))).await;
    let (adjustment, _) = runtime.create(pod("a"), container("b", "a")).await.unwrap();
    assert_eq!(env(&adjustment), []);
    // Judged whatever the order of the plugins.
    let _creates = join(&runtime, builder("20", &creates)).await;
    let created = runtime.create(pod("a"), container("b", "a")).await;
    if runtime.kind().known().contains(Event::ValidateContainerAdjustment) {
        let rejected = created.unwrap_err();
        assert!(rejected.contains("as nobody wanted"), "{rejected}");
    } else {
        assert_eq!(env(&created.unwrap().0), [("FORBIDDEN", "nobody")]);
    }
}

pub(crate) async fn long_messages_come_through_both_ways(mut runtime: impl Driver) {
    let creates = Arc::new(Creates::new("KEY", ""));
    let _session = join(&runtime, builder("10", &creates)).await;
    for length in [4_000, 4_096, 10_000, 1_500_000, 4_000_000] {
        let long = "x".repeat(length);
        creates.value.lock().clone_from(&long);
        let mut container = container("b", "a");
        container.env = vec![long.clone()];
        let (adjustment, _) = runtime.create(pod("a"), container).await.unwrap();
        assert!(env(&adjustment) == [("KEY", long.as_str())], "{length}");
        assert!(*creates.env_before.lock() == [long], "{length}");
    }
}
