//! A plugin and runtimes of each version of NRI, over a trunk in memory. Time is paused.

mod connector;
mod ends;
mod events;
mod failures;
mod join;
mod node;
mod plugins;
mod sim;
mod updates;
