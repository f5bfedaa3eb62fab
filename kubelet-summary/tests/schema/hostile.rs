//! Documents made to break the reader.
