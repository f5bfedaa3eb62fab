//! Where the running kernel has the fields that the programs read, out of its own type information.
//!
//! Only what is needed for that: structures by name, and their members' offsets. The format is the kernel's
//! (`Documentation/bpf/btf.rst`).

use std::{collections::HashMap, io, path::Path, sync::Arc};

/// Where the kernel gives its type information.
pub(crate) const KERNEL: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
/// Type information of a kernel has some megabytes. What is far beyond is something else.
const LARGEST: usize = 256 << 20;
const INT: u32 = 1;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const ENUM64: u32 = 19;

/// Why there is no offset.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The file cannot be read.
    #[error("cannot read {KERNEL}: build the kernel with CONFIG_DEBUG_INFO_BTF")]
    Read(#[source] Arc<io::Error>),
    /// It is not of the format.
    #[error("the kernel's type information is malformed: {0}")]
    Malformed(&'static str),
    /// The kernel has no such structure.
    #[error("the kernel's type information has no structure {0}")]
    NoStruct(&'static str),
    /// The structure has no such field.
    #[error("the kernel's structure {of} has no field {field}")]
    NoField {
        /// The structure.
        of: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// Offsets of fields, in bytes, by structure and field.
#[derive(Debug)]
pub(crate) struct Offsets(HashMap<(&'static str, &'static str), u32>);

impl Offsets {
    /// Looks the fields up in the running kernel.
    pub(crate) fn of_kernel(wanted: &[(&'static str, &'static str)]) -> Result<Self, BtfError> {
        Self::of_file(Path::new(KERNEL), wanted)
    }

    fn of_file(path: &Path, wanted: &[(&'static str, &'static str)]) -> Result<Self, BtfError> {
        Self::parse(&std::fs::read(path).map_err(|error| BtfError::Read(Arc::new(error)))?, wanted)
    }

    /// Looks the fields up in type information of this machine's byte order.
    pub(crate) fn parse(data: &[u8], wanted: &[(&'static str, &'static str)]) -> Result<Self, BtfError> {
        if data.len() > LARGEST {
            return Err(BtfError::Malformed("it is too long"));
        }
        let file = File::new(data)?;
        let mut found = HashMap::new();
        let mut at = 0;
        while at < file.types.len() {
            let (kind, next) = file.after(at)?;
            if kind == STRUCT {
                let name = file.name(word(file.types, at)?)?;
                for &(of, field) in wanted.iter().filter(|(of, _)| of.as_bytes() == name) {
                    if let Some(offset) = file.member(at, field.as_bytes())? {
                        found.entry((of, field)).or_insert(offset);
                    } else {
                        return Err(BtfError::NoField { of, field });
                    }
                }
            }
            at = next;
        }
        for key in wanted {
            if !found.contains_key(key) {
                return Err(BtfError::NoStruct(key.0));
            }
        }
        Ok(Self(found))
    }

    /// The offset of a field that was asked for; zero for another.
    pub(crate) fn get(&self, of: &'static str, field: &'static str) -> u32 {
        self.0.get(&(of, field)).copied().unwrap_or_default()
    }
}

struct File<'a> {
    types: &'a [u8],
    strings: &'a [u8],
}

impl<'a> File<'a> {
    fn new(data: &'a [u8]) -> Result<Self, BtfError> {
        let magic = data.get(..2).and_then(|bytes| bytes.try_into().ok());
        if magic.map(u16::from_ne_bytes) != Some(MAGIC) {
            return Err(BtfError::Malformed("its magic number is wrong"));
        }
        let header = word(data, 4)? as usize;
        let section = |offset: usize, length: usize| {
            let begin = header.checked_add(offset)?;
            data.get(begin..begin.checked_add(length)?)
        };
        let types = section(word(data, 8)? as usize, word(data, 12)? as usize);
        let strings = section(word(data, 16)? as usize, word(data, 20)? as usize);
        match (types, strings) {
            (Some(types), Some(strings)) => Ok(Self { types, strings }),
            _ => Err(BtfError::Malformed("a section lies outside of it")),
        }
    }

    fn name(&self, offset: u32) -> Result<&'a [u8], BtfError> {
        let rest = self.strings.get(offset as usize..).ok_or(BtfError::Malformed("a name lies outside of it"))?;
        Ok(rest.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// The kind of the type there, and where the next one is.
    fn after(&self, at: usize) -> Result<(u32, usize), BtfError> {
        let info = word(self.types, at + 4)?;
        let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        let more = match kind {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => 12 * count,
            ENUM | FUNC_PROTO => 8 * count,
            0 | 20.. => return Err(BtfError::Malformed("a kind of type is unknown")),
            _ => 0,
        };
        Ok((kind, at + 12 + more))
    }

    /// The offset of a member of the structure there.
    fn member(&self, at: usize, field: &[u8]) -> Result<Option<u32>, BtfError> {
        let info = word(self.types, at + 4)?;
        for index in 0..(info & 0xffff) as usize {
            let member = at + 12 + 12 * index;
            if self.name(word(self.types, member)?)? == field {
                let bits = word(self.types, member + 8)?;
                // Where the structure has bit fields, the upper byte is the field's size in bits.
                let bits = if info >> 31 == 1 { bits & 0x00ff_ffff } else { bits };
                return Ok(Some(bits / 8));
            }
        }
        Ok(None)
    }
}

fn word(data: &[u8], at: usize) -> Result<u32, BtfError> {
    data.get(at..at.saturating_add(4))
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_ne_bytes)
        .ok_or(BtfError::Malformed("it ends early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct a { int x; int y; }`, and before it an integer and an array.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0a\0x\0y\0";
        let types: Vec<u32> = vec![
            1,
            INT << 24,
            4,
            32, //
            0,
            ARRAY << 24,
            0,
            1,
            1,
            3, //
            5,
            STRUCT << 24 | 2,
            8,
            7,
            1,
            0,
            9,
            1,
            32,
        ];
        let length = u32::try_from(types.len() * 4).unwrap();
        let mut data = Vec::new();
        data.extend(MAGIC.to_ne_bytes());
        data.extend([1, 0]);
        for word in [24, 0, length, length, u32::try_from(strings.len()).unwrap()] {
            data.extend(word.to_ne_bytes());
        }
        for word in types {
            data.extend(word.to_ne_bytes());
        }
        data.extend(strings);
        data
    }

    #[test]
    fn a_field_is_found_behind_other_kinds_of_types() {
        let offsets = Offsets::parse(&sample(), &[("a", "x"), ("a", "y")]).unwrap();
        assert_eq!((offsets.get("a", "x"), offsets.get("a", "y")), (0, 4));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = Offsets::parse(&sample(), &[("b", "x")]).unwrap_err();
        assert!(error.to_string().contains("no structure b"), "{error}");
        let error = Offsets::parse(&sample(), &[("a", "z")]).unwrap_err();
        assert!(error.to_string().contains("no field z"), "{error}");
    }

    #[test]
    fn cut_anywhere_it_is_an_error_and_no_panic() {
        let data = sample();
        for length in 0..data.len() - 1 {
            assert!(Offsets::parse(&data[..length], &[("a", "y")]).is_err(), "{length} bytes");
        }
    }
}
