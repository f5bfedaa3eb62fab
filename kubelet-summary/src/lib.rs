#![doc = include_str!("../README.md")]

pub mod inventory;
pub mod selector;

pub use inventory::Inventory;
pub use selector::{PodSelector, Scope};
