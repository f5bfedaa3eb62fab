//! JSON → objects, without what nothing reads, and without letting one bad object take its neighbours along.

mod list;
mod prune;

pub use list::{DecodedList, ListDecodeError, decode_list};
pub(crate) use prune::seed;
pub use prune::{PathTree, from_json};
