//! Snapshots → bytes, as those read them who did not write them.

mod compression;
mod families;
mod official_parser;
mod prometheus_server;
mod protobuf;
mod selectors;
mod support;
