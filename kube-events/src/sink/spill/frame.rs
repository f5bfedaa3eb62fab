//! Record ↔ bytes: length, checksum, and the parts.

use std::io::{self, Read};

use bytes::Bytes;

use crate::sink::Record;

/// The length and the checksum.
const HEAD: usize = 8;
/// Time, and the lengths of target and key.
const PARTS: usize = 16;
/// The longest record that is read back: what a bad length asks for is not allocated.
pub(super) const MAX_RECORD: usize = 64 << 20;

/// Appends a record.
pub(super) fn encode(record: &Record, into: &mut Vec<u8>) -> Result<(), io::Error> {
    let length = PARTS + record.len();
    if length > MAX_RECORD {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a record of {length} bytes is too long")));
    }
    let start = into.len();
    into.extend_from_slice(&word(length)?);
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&record.time_ms.to_le_bytes());
    into.extend_from_slice(&word(record.target.len())?);
    into.extend_from_slice(&word(record.key.len())?);
    into.extend_from_slice(record.target.as_bytes());
    into.extend_from_slice(record.key.as_bytes());
    into.extend_from_slice(&record.body);
    let checksum = crc32fast::hash(into.get(start + HEAD..).unwrap_or_default());
    if let Some(place) = into.get_mut(start + 4..start + HEAD) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(())
}

/// The bytes that a record takes.
pub(super) fn encoded_len(record: &Record) -> u64 {
    (HEAD + PARTS + record.len()) as u64
}

/// The next record and the bytes that it took; none at the end, or where what follows is no whole record.
pub(super) fn decode(from: &mut impl Read) -> Result<Option<(Record, u64)>, io::Error> {
    let (mut length, mut checksum) = ([0; 4], [0; 4]);
    if !fill(from, &mut length)? || !fill(from, &mut checksum)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if !(PARTS..=MAX_RECORD).contains(&length) {
        return Ok(None);
    }
    let mut content = vec![0; length];
    if !fill(from, &mut content)? || crc32fast::hash(&content) != u32::from_le_bytes(checksum) {
        return Ok(None);
    }
    Ok(parts(&Bytes::from(content)).map(|record| (record, (HEAD + length) as u64)))
}

fn parts(content: &Bytes) -> Option<Record> {
    let (time, rest) = content.split_first_chunk::<8>()?;
    let (target, rest) = rest.split_first_chunk::<4>()?;
    let (key, _) = rest.split_first_chunk::<4>()?;
    let (target, key) = (u32::from_le_bytes(*target) as usize, u32::from_le_bytes(*key) as usize);
    let (target_end, key_end) = (PARTS.checked_add(target)?, PARTS.checked_add(target)?.checked_add(key)?);
    let text = |from: usize, to: usize| std::str::from_utf8(content.get(from..to)?).ok();
    Some(Record {
        time_ms: i64::from_le_bytes(*time),
        target: text(PARTS, target_end)?.into(),
        key: text(target_end, key_end)?.into(),
        body: content.slice(key_end..),
    })
}

/// Whether there were enough bytes.
fn fill(from: &mut impl Read, into: &mut [u8]) -> Result<bool, io::Error> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(length: usize) -> Result<[u8; 4], io::Error> {
    u32::try_from(length).map(u32::to_le_bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_comes_back(time_ms: i64, target: String, key: String, body: Vec<u8>, cut in any::<prop::sample::Index>()) {
            let record = Record { time_ms, target: target.into(), key: key.into(), body: body.into() };
            let mut bytes = Vec::new();
            encode(&record, &mut bytes).unwrap();
            prop_assert_eq!(bytes.len() as u64, encoded_len(&record));
            let (decoded, length) = decode(&mut bytes.as_slice()).unwrap().unwrap();
            prop_assert_eq!((&decoded, length), (&record, bytes.len() as u64));
            // Cut anywhere, it is no record; and no other bytes are, in place of one of its own.
            prop_assert!(decode(&mut &bytes[..cut.index(bytes.len())]).unwrap().is_none());
            let place = cut.index(bytes.len());
            bytes[place] ^= 0x40;
            prop_assert!(decode(&mut bytes.as_slice()).unwrap().is_none());
        }

        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>) {
            let _ = decode(&mut bytes.as_slice());
        }
    }
}
