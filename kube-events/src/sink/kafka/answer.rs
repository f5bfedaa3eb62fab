//! What brokers answer, read with care: a length that a broker tells reserves no memory.
//!
//! Each answer is of one version or a few, none of which has tagged fields. Newer ones are not asked for.

use thiserror::Error;

/// An answer that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is no answer of a Kafka broker: is it the port of one, and does that speak TLS as the options say?")]
pub(super) struct Unreadable;

/// The rest of an answer.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn short(&mut self) -> Result<i16, Unreadable> {
        self.fixed().map(i16::from_be_bytes)
    }

    fn int(&mut self) -> Result<i32, Unreadable> {
        self.fixed().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, Unreadable> {
        self.fixed().map(i64::from_be_bytes)
    }

    /// Null is as good as empty.
    fn text(&mut self) -> Result<String, Unreadable> {
        let length = usize::try_from(self.short()?).unwrap_or(0);
        Ok(String::from_utf8_lossy(self.bytes(length)?).into_owned())
    }

    /// Each element takes a byte at least, so that the answer's length bounds how many there are.
    fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T, Unreadable>) -> Result<Vec<T>, Unreadable> {
        let mut elements = Vec::new();
        for _ in 0..self.int()?.max(0) {
            elements.push(element(self)?);
        }
        Ok(elements)
    }
}

/// The versions of a kind of request that a broker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) key: i16,
    pub(super) least: i16,
    pub(super) most: i16,
}

/// `ApiVersions`, version 0: an error code, and what the broker knows.
pub(super) fn api_versions(answer: &[u8]) -> Result<(i16, Vec<Versions>), Unreadable> {
    let mut from = Reader(answer);
    let code = from.short()?;
    let versions = from.array(|from| Ok(Versions { key: from.short()?, least: from.short()?, most: from.short()? }))?;
    Ok((code, versions))
}

/// A broker as others name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: u16,
}

/// A part of a topic, and which broker takes records for it: none if there is no such broker just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) index: i32,
    pub(super) leader: Option<i32>,
}

/// What a broker knows of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) brokers: Vec<Broker>,
    /// What is wrong with the topic; 0: nothing.
    pub(super) code: i16,
    /// By their number.
    pub(super) partitions: Vec<Partition>,
}

/// `Metadata`, version 4, of one topic.
pub(super) fn metadata(answer: &[u8]) -> Result<Metadata, Unreadable> {
    let mut from = Reader(answer);
    let _throttle = from.int()?;
    let brokers = from.array(|from| {
        let broker =
            Broker { id: from.int()?, host: from.text()?, port: u16::try_from(from.int()?).map_err(|_| Unreadable)? };
        let _rack = from.text()?;
        Ok(broker)
    })?;
    let (_cluster, _controller) = (from.text()?, from.int()?);
    let topics = from.array(|from| {
        let code = from.short()?;
        let (_name, _is_internal) = (from.text()?, from.bytes(1)?);
        let partitions = from.array(|from| {
            let (_code, index, leader) = (from.short()?, from.int()?, from.int()?);
            from.array(Reader::int)?;
            from.array(Reader::int)?;
            Ok(Partition { index, leader: (leader >= 0).then_some(leader) })
        })?;
        Ok((code, partitions))
    })?;
    let (code, mut partitions) = topics.into_iter().next().ok_or(Unreadable)?;
    partitions.sort_unstable_by_key(|partition| partition.index);
    Ok(Metadata { brokers, code, partitions })
}

/// What became of the records for a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) partition: i32,
    /// 0: they are taken.
    pub(super) code: i16,
    pub(super) message: String,
    /// Places of records because of which none was taken.
    pub(super) wrong: Vec<usize>,
}

/// `Produce`, versions 3 to 8, and for how many milliseconds the broker wants to be left alone.
pub(super) fn produced(answer: &[u8], version: i16) -> Result<(Vec<Produced>, u64), Unreadable> {
    let mut from = Reader(answer);
    let topics = from.array(|from| {
        let _name = from.text()?;
        from.array(|from| {
            let (partition, code) = (from.int()?, from.short()?);
            let (_base_offset, _append_time) = (from.long()?, from.long()?);
            if version >= 5 {
                let _start_offset = from.long()?;
            }
            let mut produced = Produced { partition, code, ..Produced::default() };
            if version >= 8 {
                produced.wrong = from.array(|from| {
                    let place = usize::try_from(from.int()?).map_err(|_| Unreadable)?;
                    let _why = from.text()?;
                    Ok(place)
                })?;
                produced.message = from.text()?;
            }
            Ok(produced)
        })
    })?;
    let throttle = u64::try_from(from.int()?).unwrap_or(0);
    Ok((topics.into_iter().flatten().collect(), throttle))
}

/// `SaslHandshake`, version 1: an error code, and the mechanisms that the broker knows.
pub(super) fn sasl_handshake(answer: &[u8]) -> Result<(i16, Vec<String>), Unreadable> {
    let mut from = Reader(answer);
    Ok((from.short()?, from.array(Reader::text)?))
}

/// `SaslAuthenticate`, version 0: an error code, why, and the mechanism's own answer.
pub(super) fn sasl_authenticate(answer: &[u8]) -> Result<(i16, String, Vec<u8>), Unreadable> {
    let mut from = Reader(answer);
    let (code, why) = (from.short()?, from.text()?);
    let length = usize::try_from(from.int()?).unwrap_or(0);
    Ok((code, why, from.bytes(length)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_array_of_two_billion_reserves_nothing() {
        let mut answer = vec![0, 0];
        answer.extend(i32::MAX.to_be_bytes());
        answer.extend([0; 60]);
        assert_eq!(api_versions(&answer), Err(Unreadable));
        assert_eq!(sasl_handshake(&answer), Err(Unreadable));
    }

    #[test]
    fn partitions_are_in_order_and_some_have_no_leader() {
        let mut answer = vec![0; 4];
        // One broker without a rack; no cluster id, controller 1.
        answer.extend([0, 0, 0, 1, 0, 0, 0, 7, 0, 1, b'a', 0, 0, 0x23, 0x84, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
        // One topic, `t`, with two partitions.
        answer.extend([0, 0, 0, 1, 0, 0, 0, 1, b't', 0, 0, 0, 0, 2]);
        answer.extend([0, 5, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        answer.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0]);
        let expected = Metadata {
            brokers: vec![Broker { id: 7, host: "a".to_owned(), port: 9092 }],
            code: 0,
            partitions: vec![Partition { index: 0, leader: Some(7) }, Partition { index: 1, leader: None }],
        };
        assert_eq!(metadata(&answer), Ok(expected));
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(answer: Vec<u8>, version in 3i16..9) {
            let _ = api_versions(&answer);
            let _ = metadata(&answer);
            let _ = produced(&answer, version);
            let _ = sasl_handshake(&answer);
            let _ = sasl_authenticate(&answer);
        }
    }
}
