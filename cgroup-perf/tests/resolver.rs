//! Samples and a resolver → samples with labels, in time and late.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cgroup_perf::resolver::{
    Background, BackgroundConfig, Join, JoinConfig, JoinStats, Labels, Lookup, Nobody, Resolver,
};
use cgroup_perf::sample::{CgroupId, Sample};

const MS: u64 = 1_000_000;

/// Knows what it is told, and counts how often it is asked.
#[derive(Default)]
struct Book {
    known: Mutex<HashMap<u64, Lookup>>,
    asked: AtomicUsize,
}

impl Book {
    fn tell(&self, cgroup: u64, pod: &str) {
        let labels = Labels { pod: pod.to_owned(), ..Labels::default() };
        self.known.lock().unwrap().insert(cgroup, Lookup::Known(Arc::new(labels)));
    }

    fn nobodys(&self, cgroup: u64) {
        self.known.lock().unwrap().insert(cgroup, Lookup::Unknown);
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl Resolver for Book {
    fn lookup(&self, cgroup: CgroupId) -> Lookup {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.known.lock().unwrap().get(&cgroup.0).cloned().unwrap_or(Lookup::Later)
    }
}

fn sample(cgroup: u64, start: u64) -> Sample {
    let cgroup = CgroupId(cgroup);
    Sample { start, end: start + MS, cpu: 0, cgroup, task: None, ran: 1, switches: 0, counters: Default::default() }
}

struct Flow {
    join: Join,
    out: Vec<(u64, Option<String>)>,
}

impl Flow {
    fn new(config: JoinConfig) -> Self {
        Self { join: Join::new(config), out: Vec::new() }
    }

    fn push(&mut self, book: &dyn Resolver, cgroup: u64, now: u64) {
        let out = &mut self.out;
        self.join.push(&sample(cgroup, now), book, now, |sample, labels| out.push(told(sample, labels)));
    }

    fn release(&mut self, book: &dyn Resolver, now: u64) {
        let out = &mut self.out;
        self.join.release(book, now, |sample, labels| out.push(told(sample, labels)));
    }

    fn out(&mut self) -> Vec<(u64, Option<String>)> {
        std::mem::take(&mut self.out)
    }
}

fn told(sample: &Sample, labels: Option<&Arc<Labels>>) -> (u64, Option<String>) {
    (sample.cgroup.0, labels.map(|labels| labels.pod.clone()))
}

fn of(cgroup: u64, pod: &str) -> (u64, Option<String>) {
    (cgroup, Some(pod.to_owned()))
}

fn stats(change: impl FnOnce(&mut JoinStats)) -> JoinStats {
    let mut stats = JoinStats::default();
    change(&mut stats);
    stats
}

#[test]
fn what_is_known_goes_out_at_once_and_is_asked_for_once() {
    let book = Book::default();
    book.tell(7, "web");
    book.nobodys(8);
    let mut flow = Flow::new(JoinConfig::default());
    for slot in 0..1_000 {
        flow.push(&book, 7, slot * MS);
        flow.push(&book, 8, slot * MS);
    }
    assert_eq!(book.asked(), 2);
    let out = flow.out();
    assert_eq!((out.len(), &out[..2]), (2_000, &[of(7, "web"), (8, None)][..]));
    assert_eq!(flow.join.stats(), stats(|stats| stats.direct = 2_000));
    // An answer is good for ten seconds.
    book.tell(7, "other");
    flow.push(&book, 7, 9_999 * MS);
    flow.push(&book, 7, 10_000 * MS);
    assert_eq!(flow.out(), [of(7, "web"), of(7, "other")]);
}

#[test]
fn what_is_known_late_waits_and_goes_out_with_its_labels() {
    let book = Book::default();
    let mut flow = Flow::new(JoinConfig::default());
    flow.push(&book, 7, 0);
    flow.push(&book, 7, MS);
    assert_eq!((flow.out(), book.asked()), (vec![], 1));
    book.tell(7, "web");
    flow.release(&book, 50 * MS);
    assert_eq!((flow.out(), book.asked()), (vec![], 0), "not asked again so soon");
    flow.release(&book, 150 * MS);
    assert_eq!(flow.out(), [of(7, "web"), of(7, "web")]);
    assert_eq!(book.asked(), 1);
    assert_eq!(flow.join.stats(), stats(|stats| (stats.held, stats.late) = (2, 2)));
}

#[test]
fn what_nobody_knows_keeps_its_id() {
    let book = Book::default();
    let mut flow = Flow::new(JoinConfig::default());
    flow.push(&book, 7, 0);
    flow.release(&book, 1_999 * MS);
    assert_eq!((flow.out(), flow.join.stats().waiting), (vec![], 1));
    flow.release(&book, 2_099 * MS);
    assert_eq!(flow.out(), [(7, None)]);
    // Its later samples do not wait anew, however long it stays unknown.
    for second in 3..60 {
        flow.push(&book, 7, second * 1_000 * MS);
        flow.release(&book, second * 1_000 * MS);
    }
    assert_eq!(flow.out().len(), 57);
    // And it is found when it is known.
    book.tell(7, "web");
    flow.push(&book, 7, 61_000 * MS);
    assert_eq!(flow.out(), [of(7, "web")]);
    let expected = stats(|stats| (stats.direct, stats.held, stats.unresolved) = (1, 58, 58));
    assert_eq!(flow.join.stats(), expected);
}

#[test]
fn no_more_wait_than_there_is_place_for() {
    let book = Book::default();
    let mut config = JoinConfig::default();
    config.most_held = 2;
    let mut flow = Flow::new(config);
    for cgroup in 1..=5 {
        flow.push(&book, cgroup, cgroup);
    }
    assert_eq!(flow.out(), [(1, None), (2, None), (3, None)]);
    flow.join.finish(|sample, labels| flow.out.push(told(sample, labels)));
    assert_eq!(flow.out(), [(4, None), (5, None)]);
    let expected = stats(|stats| (stats.held, stats.overflowed, stats.unresolved) = (5, 3, 2));
    assert_eq!(flow.join.stats(), expected);

    config.most_held = 0;
    let mut flow = Flow::new(config);
    flow.push(&book, 1, 0);
    assert_eq!(flow.out(), [(1, None)]);
}

#[test]
fn no_more_is_remembered_than_there_is_place_for() {
    let book = Book::default();
    let mut config = JoinConfig::default();
    config.most_known = 1;
    let mut flow = Flow::new(config);
    book.tell(1, "web");
    flow.push(&book, 1, 0);
    flow.push(&book, 2, 0);
    assert_eq!(flow.out(), [of(1, "web"), (2, None)]);
    // What is silent is forgotten, and makes room.
    flow.release(&book, 20_000 * MS);
    book.tell(2, "api");
    flow.push(&book, 2, 20_001 * MS);
    assert_eq!(flow.out(), [of(2, "api")]);
}

#[test]
fn an_answer_outlives_a_resolver_that_has_lost_it() {
    let book = Book::default();
    book.tell(7, "web");
    let mut flow = Flow::new(JoinConfig::default());
    flow.push(&book, 7, 0);
    book.known.lock().unwrap().clear();
    flow.push(&book, 7, 11_000 * MS);
    assert_eq!(flow.out(), [of(7, "web"), of(7, "web")]);
}

/// Hangs until it is told to go on.
struct Hangs(Mutex<Receiver<()>>, Sender<()>);

impl Resolver for Hangs {
    fn lookup(&self, _: CgroupId) -> Lookup {
        self.1.send(()).unwrap();
        self.0.lock().unwrap().recv().unwrap();
        Lookup::Known(Arc::new(Labels { pod: "web".to_owned(), ..Labels::default() }))
    }
}

fn wait_for(mut done: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came");
}

#[test]
fn a_resolver_that_hangs_holds_nobody_up() {
    let (go, gone) = channel();
    let (begun, begins) = channel();
    let mut config = BackgroundConfig::default();
    (config.most_questions, config.deadline) = (4, Duration::ZERO);
    let resolver = Background::spawn(Hangs(Mutex::new(gone), begun), config).unwrap();
    let mut flow = Flow::new(JoinConfig::default());
    flow.push(&resolver, 1, 0);
    begins.recv().unwrap();
    // Ten thousand samples of a hundred cgroups pass, though nothing is answered.
    for slot in 0..10_000_u64 {
        flow.push(&resolver, 1 + slot % 100, slot * MS);
        flow.release(&resolver, slot * MS);
    }
    wait_for(|| resolver.stats().hangs);
    let of_it = resolver.stats();
    assert_eq!((of_it.answered, of_it.asked), (0, 5), "one under way, and four that wait");
    assert!(of_it.refused > 0);
    let after = flow.join.stats();
    assert_eq!((after.direct, after.late, after.held), (0, 0, 10_001));
    assert!(flow.out().iter().all(|(_, pod)| pod.is_none()));
    assert_eq!(after.unresolved + after.waiting, 10_001);
    // It goes on, and what comes then has its labels.
    for _ in 0..1_000 {
        go.send(()).unwrap();
    }
    wait_for(|| resolver.lookup(CgroupId(1)) != Lookup::Later);
    flow.push(&resolver, 1, 20_000 * MS);
    assert_eq!(flow.out().pop(), Some(of(1, "web")));
}

#[test]
fn a_resolver_that_panics_is_asked_again() {
    struct Panics(AtomicUsize);
    impl Resolver for Panics {
        fn lookup(&self, _: CgroupId) -> Lookup {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "the first time (this is part of the test)");
            Lookup::Unknown
        }
    }
    let resolver = Background::spawn(Panics(AtomicUsize::new(0)), BackgroundConfig::default()).unwrap();
    wait_for(|| resolver.lookup(CgroupId(1)) == Lookup::Unknown);
    assert!(resolver.stats().answered >= 2);
}

#[test]
fn nobody_knows_nothing() {
    let mut flow = Flow::new(JoinConfig::default());
    flow.push(&Arc::new(Nobody), 1, 0);
    assert_eq!(flow.out(), [(1, None)]);
}
