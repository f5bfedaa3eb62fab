//! Which pods and nodes are known, whatever the watches do.

mod faults;
mod own_watch;
mod streams;
mod support;
