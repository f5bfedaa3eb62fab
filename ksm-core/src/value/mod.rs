//! How values are written and read: floats in the exposition's form, quantities, times, label values.

mod escape;
mod number;
mod quantity;
mod time;

pub use escape::{escape_help, escape_label_value, unescape_label_value};
pub use number::write_value;
pub use quantity::{Quantity, QuantityError};
pub use time::{is_zero_time, unix_seconds};
