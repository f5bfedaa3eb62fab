//! Events → queue, batches, retries, disk → what a sink gets.
#![allow(clippy::duration_suboptimal_units, reason = "seconds are what is counted here")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube_events::checkpoint::{EventsApi, Position, Progress};
use kube_events::event::{EnhancedEvent, Event, ObjectMetadata};
use kube_events::sink::{
    Ack, BatchOptions, Delivery, DeliveryError, Drained, EncodeError, Outlet, OutletOptions, OverflowPolicy, Record,
    Refused, RetryOptions, Sink, SpillOptions,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// What a test's sink does with a batch.
enum Answer {
    Take,
    Again(Option<Duration>),
    Refuse,
    Part(Delivery),
    Hang,
    Panic,
}

/// Answers as it is told, and takes everything after that.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    /// Fails all the time.
    is_away: bool,
    /// Refuses every batch with this event.
    poison: Option<String>,
    attempts: Vec<(Instant, Vec<String>)>,
    got: Vec<String>,
}

impl Fake {
    fn then(self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.0.lock().answers.extend(answers);
        self
    }

    fn got(&self) -> Vec<String> {
        self.0.lock().got.clone()
    }

    fn set_away(&self, is_away: bool) {
        self.0.lock().is_away = is_away;
    }

    fn batches(&self) -> Vec<usize> {
        self.0.lock().attempts.iter().map(|(_, batch)| batch.len()).collect()
    }
}

impl Sink for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        if event.event.message == "odd" {
            return Err(EncodeError("it is odd".into()));
        }
        Ok(Record::new(event, event.event.message.clone()))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        async move {
            let bodies: Vec<_> = batch.iter().map(|it| String::from_utf8(it.body.to_vec()).unwrap()).collect();
            let answer = {
                let mut state = self.0.lock();
                state.attempts.push((Instant::now(), bodies.clone()));
                if state.is_away {
                    return Err(DeliveryError::again("away"));
                }
                if state.poison.as_ref().is_some_and(|poison| bodies.contains(poison)) {
                    return Err(DeliveryError::refused("poison"));
                }
                state.answers.pop_front().unwrap_or(Answer::Take)
            };
            match answer {
                Answer::Take => {
                    self.0.lock().got.extend(bodies);
                    Ok(Delivery::default())
                }
                Answer::Again(after) => Err(DeliveryError::Again { cause: "busy".into(), after }),
                Answer::Refuse => Err(DeliveryError::refused("no")),
                Answer::Part(delivery) => {
                    let is_kept = |index: &usize| {
                        !delivery.again.contains(index) && delivery.refused.iter().all(|it| it.index != *index)
                    };
                    let kept = bodies.into_iter().enumerate().filter(|(index, _)| is_kept(index)).map(|(_, it)| it);
                    self.0.lock().got.extend(kept);
                    Ok(delivery)
                }
                Answer::Hang => std::future::pending().await,
                Answer::Panic => panic!("boom"),
            }
        }
        .boxed()
    }
}

fn event(message: &impl ToString) -> EnhancedEvent {
    let event = Event { message: message.to_string(), ..Event::default() };
    EnhancedEvent::new(event, Arc::new(ObjectMetadata::default()))
}

fn texts(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

fn number(text: &str) -> usize {
    text.parse().unwrap()
}

/// Equal, or where they begin to differ: of thousands, all are too many to read.
fn same(got: &[String], expected: &[String], what: &str) {
    let place = got.iter().zip(expected).position(|(one, other)| one != other);
    let near =
        |texts: &[String]| texts.iter().skip(place.unwrap_or(0).saturating_sub(2)).take(6).cloned().collect::<Vec<_>>();
    assert!(
        got == expected,
        "{what}: {} of {}, different from {place:?} on: {:?}, not {:?}",
        got.len(),
        expected.len(),
        near(got),
        near(expected)
    );
}

fn batches_of(events: usize) -> OutletOptions {
    OutletOptions { batch: BatchOptions { events, ..BatchOptions::default() }, ..OutletOptions::default() }
}

async fn outlet(fake: &Fake, options: OutletOptions) -> Outlet {
    Outlet::spawn("test", fake.clone(), options).await.unwrap()
}

async fn offer(outlet: &Outlet, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        outlet.offer(event(&number), Ack::none()).await;
    }
}

const LONG: Duration = Duration::from_secs(3600);

async fn end(outlet: &Outlet) {
    assert_eq!(outlet.shutdown(LONG).await, Drained::default());
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_between_batches_that_are_taken() {
    let fake = Fake::default();
    let outlet = outlet(&fake, batches_of(1)).await;
    // Timers go off at whole milliseconds.
    tokio::time::advance(Duration::from_micros(500)).await;
    let began = Instant::now();
    offer(&outlet, 0..100).await;
    end(&outlet).await;
    assert_eq!(fake.batches(), [1; 100]);
    let attempts: Vec<_> = fake.0.lock().attempts.iter().map(|(at, _)| at.duration_since(began)).collect();
    assert_eq!(attempts, [Duration::ZERO; 100]);
}

#[tokio::test(start_paused = true)]
async fn events_arrive_in_order_and_in_batches() {
    let fake = Fake::default();
    let outlet = outlet(&fake, batches_of(4)).await;
    offer(&outlet, 0..10).await;
    end(&outlet).await;
    same(&fake.got(), &texts(0..10), "in order");
    assert_eq!(fake.batches(), [4, 4, 2]);
    assert_eq!((outlet.status().delivered, outlet.status().queued), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_others_but_not_longer_than_it_may() {
    let fake = Fake::default();
    let mut options = batches_of(4);
    options.batch.age = Duration::from_secs(2);
    let outlet = outlet(&fake, options).await;
    let begun = Instant::now();
    offer(&outlet, 0..2).await;
    sleep(Duration::from_secs(1)).await;
    offer(&outlet, 2..3).await;
    sleep(Duration::from_secs(5)).await;
    offer(&outlet, 3..7).await;
    sleep(Duration::from_secs(1)).await;
    let attempts: Vec<_> = fake.0.lock().attempts.iter().map(|(at, batch)| (*at - begun, batch.len())).collect();
    assert_eq!(attempts, [(Duration::from_secs(2), 3), (Duration::from_secs(6), 4)]);
    end(&outlet).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_sent_again_with_pauses_that_grow_and_are_obeyed() {
    let again = [Answer::Again(None), Answer::Again(None), Answer::Again(Some(Duration::from_secs(60)))];
    let fake = Fake::default().then(again);
    let outlet = outlet(&fake, batches_of(4)).await;
    offer(&outlet, 0..2).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(outlet.status().last_error.as_deref(), Some("busy"));
    end(&outlet).await;
    same(&fake.got(), &texts(0..2), "in order");
    let at: Vec<_> = fake.0.lock().attempts.iter().map(|(at, _)| *at).collect();
    let pauses: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] <= Duration::from_millis(501) && pauses[0] >= Duration::from_millis(374), "{pauses:?}");
    assert!(pauses[1] <= Duration::from_millis(1001) && pauses[1] >= Duration::from_millis(749), "{pauses:?}");
    assert!(pauses[2] >= Duration::from_secs(60) && pauses[2] <= Duration::from_secs(76), "{pauses:?}");
    assert_eq!((outlet.status().failures, outlet.status().last_error), (3, None));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_or_panics_is_tried_again() {
    let fake = Fake::default().then([Answer::Hang, Answer::Panic]);
    let outlet = outlet(&fake, batches_of(4)).await;
    offer(&outlet, 0..2).await;
    end(&outlet).await;
    same(&fake.got(), &texts(0..2), "in order");
    let at: Vec<_> = fake.0.lock().attempts.iter().map(|(at, _)| *at).collect();
    assert!(at[1] - at[0] >= Duration::from_secs(30));
    assert_eq!(at.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_refused_or_comes_again_costs_no_neighbour() {
    let refused = vec![Refused { index: 0, reason: "odd".to_owned() }];
    let part = Delivery { again: vec![1], refused };
    let fake = Fake::default().then([Answer::Part(part), Answer::Refuse]);
    let outlet = outlet(&fake, batches_of(4)).await;
    offer(&outlet, 0..4).await;
    end(&outlet).await;
    assert_eq!(fake.got(), texts([2, 3]), "the first attempt took two; the last one was refused when it came alone");
    assert_eq!((outlet.status().refused, outlet.status().delivered), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_a_sink_refuse_its_batch_is_found() {
    let fake = Fake::default();
    fake.0.lock().poison = Some("7".to_owned());
    let outlet = outlet(&fake, batches_of(20)).await;
    offer(&outlet, 0..20).await;
    end(&outlet).await;
    same(&fake.got(), &texts((0..20).filter(|number| *number != 7)), "in order");
    assert_eq!(outlet.status().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_can_not_be_encoded_is_refused() {
    let fake = Fake::default();
    let progress = Progress::new(EventsApi::Core, 10);
    let outlet = outlet(&fake, batches_of(4)).await;
    let ticket = progress.begin(&position(1), 1).await;
    outlet.offer(event(&"odd"), Ack::new(progress.clone(), ticket)).await;
    offer(&outlet, 1..2).await;
    end(&outlet).await;
    assert_eq!(fake.got(), ["1"]);
    assert_eq!(outlet.status().refused, 1);
    assert_eq!(progress.waiting(), 0);
}

fn position(version: u64) -> Position {
    Position { partition: "".into(), resource_version: Some(version.to_string().into()), time: None }
}

async fn tracked(outlet: &Outlet, progress: &Progress, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let ticket = progress.begin(&position(number as u64), 1).await;
        outlet.offer(event(&number), Ack::new(progress.clone(), ticket)).await;
    }
}

fn mark(progress: &Progress) -> Option<u64> {
    progress.marks().of("").map(|mark| mark.resource_version.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn events_are_acknowledged_once_the_sink_has_them() {
    let fake = Fake::default();
    let progress = Progress::new(EventsApi::Core, 100);
    let outlet = outlet(&fake, batches_of(4)).await;
    fake.set_away(true);
    tracked(&outlet, &progress, 1..9).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!((mark(&progress), progress.waiting()), (None, 8));
    fake.set_away(false);
    end(&outlet).await;
    assert_eq!((mark(&progress), progress.waiting()), (Some(8), 0));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_by_its_policy_and_counts() {
    for (policy, kept) in [(OverflowPolicy::DropOldest, 7..10), (OverflowPolicy::DropNewest, 1..4)] {
        let fake = Fake::default();
        fake.set_away(true);
        let progress = Progress::new(EventsApi::Core, 100);
        let outlet = outlet(&fake, OutletOptions { queue: 3, policy, ..batches_of(1) }).await;
        tracked(&outlet, &progress, 0..1).await;
        sleep(Duration::from_millis(1)).await;
        tracked(&outlet, &progress, 1..10).await;
        assert_eq!((outlet.status().queued, outlet.status().dropped), (3, 6), "{policy:?}");
        assert_eq!(progress.waiting(), 10, "the first waits, and what is behind it");
        fake.set_away(false);
        end(&outlet).await;
        assert_eq!(fake.got(), texts((0..1).chain(kept)), "{policy:?}");
        assert_eq!(mark(&progress), Some(9));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_that_blocks_loses_nothing() {
    let fake = Fake::default();
    fake.set_away(true);
    let options = OutletOptions { queue: 3, policy: OverflowPolicy::Block, ..batches_of(1) };
    let outlet = outlet(&fake, options).await;
    let offering = offer(&outlet, 0..20);
    let healing = async {
        sleep(Duration::from_secs(600)).await;
        assert_eq!(outlet.status().queued, 3);
        fake.set_away(false);
    };
    tokio::join!(offering, healing);
    end(&outlet).await;
    same(&fake.got(), &texts(0..20), "in order");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_given_up_when_it_is_told_to() {
    let fake = Fake::default();
    fake.set_away(true);
    let retry = RetryOptions { give_up_after: Some(Duration::from_secs(60)), ..RetryOptions::default() };
    let outlet = outlet(&fake, OutletOptions { retry, ..batches_of(4) }).await;
    offer(&outlet, 0..4).await;
    sleep(Duration::from_secs(120)).await;
    assert_eq!(outlet.status().dropped, 4);
    fake.set_away(false);
    offer(&outlet, 4..6).await;
    end(&outlet).await;
    same(&fake.got(), &texts(4..6), "in order");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_delivered_before_the_end_is_told_and_not_acknowledged() {
    let fake = Fake::default().then([Answer::Hang]);
    let progress = Progress::new(EventsApi::Core, 100);
    let outlet = outlet(&fake, batches_of(4)).await;
    tracked(&outlet, &progress, 1..11).await;
    sleep(Duration::from_millis(1)).await;
    let begun = Instant::now();
    let (first, second) = tokio::join!(outlet.shutdown(Duration::from_secs(3)), outlet.shutdown(LONG));
    assert_eq!((first, second), (Drained { undelivered: 10, spilled: 0 }, first));
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert_eq!(mark(&progress), None);
    tracked(&outlet, &progress, 11..12).await;
    assert_eq!(progress.waiting(), 11, "what comes after the end is not acknowledged either");
}

fn spilling(directory: &std::path::Path) -> OutletOptions {
    let spill = SpillOptions { segment_bytes: 1000, ..SpillOptions::new(directory) };
    OutletOptions { queue: 50, spill: Some(spill), ..batches_of(10) }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_goes_to_disk_and_comes_back_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    let progress = Progress::new(EventsApi::Core, 10_000);
    let outlet = outlet(&fake, spilling(directory.path())).await;
    tracked(&outlet, &progress, 1..4).await;
    sleep(Duration::from_secs(1)).await;
    fake.set_away(true);
    for second in 0..3600 {
        tracked(&outlet, &progress, 4 + second..5 + second).await;
        sleep(Duration::from_secs(1)).await;
    }
    let status = outlet.status();
    assert!(status.spilled > 3_590 && status.dropped == 0, "{status:?}");
    assert!(mark(&progress) > Some(3_590), "what is on disk is safe: {:?}", mark(&progress));
    fake.set_away(false);
    tracked(&outlet, &progress, 3604..3700).await;
    end(&outlet).await;
    same(&fake.got(), &texts(1..3700), "in order");
    assert_eq!((mark(&progress), outlet.status().spilled), (Some(3699), 0));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fills_up_does_not_wait_to_go_to_disk() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    fake.set_away(true);
    let outlet = outlet(&fake, spilling(directory.path())).await;
    for number in 0..500 {
        offer(&outlet, number..=number).await;
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(outlet.status().dropped, 0);
    fake.set_away(false);
    end(&outlet).await;
    same(&fake.got(), &texts(0..500), "in order");
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_the_end_is_on_disk_for_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    fake.set_away(true);
    let progress = Progress::new(EventsApi::Core, 100);
    let first = outlet(&fake, spilling(directory.path())).await;
    tracked(&first, &progress, 1..31).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(first.shutdown(Duration::from_secs(2)).await, Drained { undelivered: 0, spilled: 30 });
    assert_eq!(mark(&progress), Some(30));
    drop(first);
    fake.set_away(false);
    let second = outlet(&fake, spilling(directory.path())).await;
    offer(&second, 31..35).await;
    end(&second).await;
    same(&fake.got(), &texts(1..35), "in order");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_drops_the_oldest_and_counts_or_holds_up() {
    let small = |directory: &std::path::Path, policy| {
        let spill = SpillOptions { segment_bytes: 500, max_bytes: 2000, ..SpillOptions::new(directory) };
        OutletOptions { policy, spill: Some(spill), ..spilling(directory) }
    };
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    fake.set_away(true);
    let dropping = outlet(&fake, small(directory.path(), OverflowPolicy::DropOldest)).await;
    for number in 0..500 {
        offer(&dropping, number..=number).await;
        sleep(Duration::from_millis(100)).await;
    }
    fake.set_away(false);
    end(&dropping).await;
    let got = fake.got();
    let (first, rest) =
        got.split_at(got.windows(2).position(|pair| number(&pair[1]) != number(&pair[0]) + 1).unwrap() + 1);
    same(first, &texts(0..first.len()), "what was being sent stays");
    same(rest, &texts(500 - rest.len()..500), "and the newest");
    assert_eq!(dropping.status().dropped + got.len() as u64, 500);

    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    fake.set_away(true);
    let blocking = outlet(&fake, small(directory.path(), OverflowPolicy::Block)).await;
    let healing = async {
        sleep(Duration::from_secs(1200)).await;
        fake.set_away(false);
    };
    tokio::join!(offer(&blocking, 0..500), healing);
    end(&blocking).await;
    same(&fake.got(), &texts(0..500), "in order");
}

#[tokio::test(start_paused = true)]
async fn dropping_an_outlet_stops_it() {
    let fake = Fake::default().then([Answer::Hang]);
    let outlet = outlet(&fake, batches_of(1)).await;
    offer(&outlet, 0..2).await;
    sleep(Duration::from_millis(1)).await;
    drop(outlet);
    sleep(LONG).await;
    assert_eq!(Arc::strong_count(&fake.0), 1, "the task is gone");
    assert_eq!(fake.batches(), [1]);
}
