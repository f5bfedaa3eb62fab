//! Requests for parts of a batch.

use std::future::Future;

use crate::sink::{Delivery, DeliveryError, Record, Refused};

/// Records of a batch that go into one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sink) struct Group<'a> {
    /// Their places in the batch.
    pub(in crate::sink) places: Vec<usize>,
    pub(in crate::sink) records: Vec<&'a Record>,
}

/// The records by their target, in the order in which targets come first; or each on its own.
pub(in crate::sink) fn groups<'a, K: PartialEq>(
    batch: &'a [Record],
    key: impl Fn(usize, &'a Record) -> K,
) -> Vec<Group<'a>> {
    let mut groups: Vec<(K, Group<'a>)> = Vec::new();
    for (place, record) in batch.iter().enumerate() {
        let key = key(place, record);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => {
                group.places.push(place);
                group.records.push(record);
            }
            None => groups.push((key, Group { places: vec![place], records: vec![record] })),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Sends one group after the other, each of which tells places among its own records. When one fails, it and those
/// after it come again; a failure of the first is the batch's.
pub(in crate::sink) async fn in_order<'a, F>(
    groups: Vec<Group<'a>>,
    send: impl Fn(Group<'a>) -> F,
) -> Result<Delivery, DeliveryError>
where
    F: Future<Output = Result<Delivery, DeliveryError>>,
{
    let mut whole = Delivery::default();
    let mut groups = groups.into_iter();
    let mut is_first = true;
    while let Some(group) = groups.next() {
        let places = group.places.clone();
        let is_alone = places.len() == 1;
        let of_batch = |index: usize| places.get(index).copied();
        match send(group).await {
            Ok(delivery) => {
                whole.again.extend(delivery.again.into_iter().filter_map(of_batch));
                let refused = delivery.refused.into_iter();
                whole
                    .refused
                    .extend(refused.filter_map(|it| Some(Refused { index: of_batch(it.index)?, reason: it.reason })));
            }
            Err(DeliveryError::Refused { cause }) if is_alone => {
                whole.refused.extend(of_batch(0).map(|index| Refused { index, reason: cause.to_string() }));
            }
            Err(error) if is_first => return Err(error),
            Err(_) => {
                whole.again.extend(places);
                whole.again.extend(groups.flat_map(|group| group.places));
                break;
            }
        }
        is_first = false;
    }
    whole.again.sort_unstable();
    Ok(whole)
}
