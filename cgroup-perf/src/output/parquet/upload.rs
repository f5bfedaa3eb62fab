//! Finished files, on to an object store.
