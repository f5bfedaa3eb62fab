//! JSON → objects, without what nothing reads, and without letting one bad object take its neighbours along.

mod head;
mod list;
mod prune;

pub use head::{Head, HeadFields};
pub use list::{DecodedList, ListDecodeError, decode_list, decode_list_if};
pub(crate) use prune::seed;
pub use prune::{PathTree, from_json};
