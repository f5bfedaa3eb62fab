//! Records on their way into a sink, and what its answers make of them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::outlet::Ack;
use super::spill::Place;
use super::{BatchOptions, Delivery, Record};

/// A batch: the part that is being sent, and the rest.
#[derive(Debug)]
pub(super) struct Flight {
    sent: Arc<Vec<Record>>,
    rest: VecDeque<Record>,
    /// Of the part that is sent and of the rest, in order; none for records from disk.
    acks: VecDeque<Ack>,
    /// Where it ends on disk, if it is from there.
    end: Option<Place>,
    /// How many are sent at once: fewer, where one of them is refused and nobody knows which.
    at_once: usize,
    pub(super) since: Instant,
}

/// What an answer was about.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) delivered: usize,
    /// Why each was refused.
    pub(super) refused: Vec<String>,
    /// To be told.
    pub(super) acks: Vec<Ack>,
}

impl Flight {
    pub(super) fn from_memory(records: VecDeque<Record>, acks: VecDeque<Ack>) -> Self {
        let at_once = records.len();
        Self { sent: Arc::default(), rest: records, acks, end: None, at_once, since: Instant::now() }
    }

    pub(super) fn from_disk(records: Vec<Record>, end: Place) -> Self {
        let at_once = records.len();
        let rest = records.into();
        Self { sent: Arc::default(), rest, acks: VecDeque::new(), end: Some(end), at_once, since: Instant::now() }
    }

    /// The next part to send.
    pub(super) fn part(&mut self, limits: &BatchOptions) -> Arc<Vec<Record>> {
        let mut bytes = 0;
        let mut part = Vec::new();
        while part.len() < self.at_once.min(limits.events).max(1)
            && let Some(record) =
                self.rest.pop_front_if(|record| part.is_empty() || bytes + record.len() <= limits.bytes)
        {
            bytes += record.len();
            part.push(record);
        }
        self.sent = Arc::new(part);
        Arc::clone(&self.sent)
    }

    /// The part was answered for. What is to come again stands first.
    pub(super) fn answered(&mut self, delivery: &Delivery) -> Outcome {
        let mut outcome = Outcome::default();
        let is_disk = self.end.is_some();
        let (mut again, mut again_acks) = (Vec::new(), Vec::new());
        for (index, record) in std::mem::take(&mut self.sent).iter().enumerate() {
            let ack = if is_disk { None } else { self.acks.pop_front() };
            if delivery.again.contains(&index) {
                again.push(record.clone());
                again_acks.extend(ack);
                continue;
            }
            match delivery.refused.iter().find(|refused| refused.index == index) {
                Some(refused) => outcome.refused.push(refused.reason.clone()),
                None => outcome.delivered += 1,
            }
            outcome.acks.extend(ack);
        }
        self.put_back(again, again_acks);
        self.at_once = self.rest.len();
        outcome
    }

    /// The part failed as a whole and may go well later.
    pub(super) fn failed(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        self.put_back(Arc::unwrap_or_clone(sent), Vec::new());
    }

    /// The part was refused as a whole: of several records, half are tried.
    pub(super) fn refused(&mut self, reason: &str) -> Outcome {
        let count = self.sent.len();
        if count > 1 {
            self.failed();
            self.at_once = count / 2;
            return Outcome::default();
        }
        let refused = super::Refused { index: 0, reason: reason.to_owned() };
        self.answered(&Delivery { again: Vec::new(), refused: vec![refused] })
    }

    fn put_back(&mut self, records: Vec<Record>, acks: Vec<Ack>) {
        for record in records.into_iter().rev() {
            self.rest.push_front(record);
        }
        for ack in acks.into_iter().rev() {
            self.acks.push_front(ack);
        }
    }

    /// Nothing is left to send.
    pub(super) fn is_done(&self) -> bool {
        self.sent.is_empty() && self.rest.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.sent.len() + self.rest.len()
    }

    pub(super) fn end(&self) -> Option<Place> {
        self.end
    }

    /// All that is left, in order.
    pub(super) fn into_parts(mut self) -> (Vec<Record>, VecDeque<Ack>) {
        self.failed();
        (self.rest.into(), self.acks)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Refused;
    use super::*;

    fn flight(count: u8) -> Flight {
        let record = |number: u8| Record { body: vec![number].into(), time_ms: 0, target: "".into(), key: "".into() };
        Flight::from_memory((0..count).map(record).collect(), (0..count).map(|_| Ack::none()).collect())
    }

    fn bodies(records: &[Record]) -> Vec<u8> {
        records.iter().map(|record| record.body[0]).collect()
    }

    fn limits() -> BatchOptions {
        BatchOptions { events: 100, ..BatchOptions::default() }
    }

    #[tokio::test]
    async fn what_is_to_come_again_keeps_its_place_before_the_rest() {
        let mut flight = flight(5);
        assert_eq!(bodies(&flight.part(&BatchOptions { events: 4, ..limits() })), [0, 1, 2, 3]);
        let refused = vec![Refused { index: 2, reason: "odd".to_owned() }];
        let outcome = flight.answered(&Delivery { again: vec![1, 3], refused });
        assert_eq!((outcome.delivered, outcome.acks.len()), (1, 2));
        assert_eq!(outcome.refused, ["odd"]);
        assert_eq!(bodies(&flight.part(&limits())), [1, 3, 4]);
        assert_eq!(flight.answered(&Delivery::default()).acks.len(), 3);
        assert!(flight.is_done());
    }

    #[tokio::test]
    async fn of_a_batch_that_is_refused_all_but_the_one_go_through() {
        let mut flight = flight(9);
        let (mut delivered, mut refused) = (Vec::new(), Vec::new());
        let mut attempts = 0;
        while !flight.is_done() {
            attempts += 1;
            let part = bodies(&flight.part(&limits()));
            if part.contains(&5) {
                refused.extend(flight.refused("five").refused);
            } else {
                flight.answered(&Delivery::default());
                delivered.extend(part);
            }
        }
        assert_eq!(delivered, [0, 1, 2, 3, 4, 6, 7, 8]);
        assert_eq!(refused, ["five"]);
        assert!(attempts < 12, "{attempts}");
    }

    #[tokio::test]
    async fn a_batch_has_so_many_bytes_at_most_unless_one_record_has_more() {
        let record =
            |length: usize| Record { body: vec![0; length].into(), time_ms: 0, target: "".into(), key: "".into() };
        let mut flight = Flight::from_memory([5, 20, 4, 4, 4].map(record).into(), VecDeque::new());
        let mut parts = Vec::new();
        while !flight.is_done() {
            parts.push(flight.part(&BatchOptions { bytes: 10, ..limits() }).len());
            flight.answered(&Delivery::default());
        }
        assert_eq!(parts, [1, 1, 2, 1]);
    }
}
