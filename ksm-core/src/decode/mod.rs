//! JSON → objects, without what nothing reads, and without letting one bad object take its neighbours along.

mod list;
mod prune;

pub use list::{DecodedList, ListDecodeError, decode_list};
pub use prune::{PathTree, from_json};
