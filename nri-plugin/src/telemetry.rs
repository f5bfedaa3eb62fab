//! What the crate says of itself, through the [`metrics`] facade: the host picks the exporter.
//!
//! [`describe`] gives help texts to the host's recorder. Install the recorder before a session begins.

use metrics::counter;

/// A table of metrics, the constants that name them, and their help texts.
macro_rules! metrics_table {
    ($(#[$doc:meta])* $($constant:ident $name:literal $kind:ident ($labels:literal) $help:literal)+) => {
        $(#[$doc])*
        ///
        /// | name | kind | labels | says |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", $name, "` | ", stringify!($kind), " | ", $labels, " | ", $help, " |")])+
        pub static METRICS: &[(&str, &str, &str, &str)] =
            &[$(($name, stringify!($kind), $labels, $help)),+];

        $(pub(crate) const $constant: &str = $name;)+

        /// Gives the help texts of [`METRICS`] to the recorder that is installed.
        pub fn describe() {
            $(metrics_table!(@ $kind $name $help);)+
        }
    };
    (@ counter $name:literal $help:literal) => { metrics::describe_counter!($name, $help) };
    (@ gauge $name:literal $help:literal) => { metrics::describe_gauge!($name, $help) };
}

pub(crate) use metrics_table;

metrics_table! {
    /// All metrics of this crate about itself, but for those of the [index](crate::index::telemetry): name, kind, labels, and
    /// what it says.
    FRAMES_DROPPED "nri_plugin_mux_frames_dropped_total" counter ("reason")
        "Frames that nobody took: reason=not_open (no such connection) or stalled (its queue stayed full, and it was closed)."
    MESSAGES_DROPPED "nri_plugin_ttrpc_messages_dropped_total" counter ("reason")
        "Messages that nobody took: reason=unknown_stream (an answer to a call that was given up), oversize, undecodable or bad_type."
    HANDLED "nri_plugin_handled_total" counter ("event, result")
        "Events that were handled: result=ok, error, panic, overrun (it took longer than the runtime waits) or undecodable. An observer answers all of them with success."
    UNTRACKED "nri_plugin_untracked_total" counter ("")
        "Pods and containers whose ids were not kept, as there were too many: a plugin that is connected anew does not learn that they vanished."
    ATTEMPTS "nri_plugin_connections_total" counter ("result")
        "Attempts of connectors: result=joined, not_connected (nobody listens), refused (what the plugin is, or wants) or failed (the session ended before the plugin joined)."
    SESSIONS "nri_plugin_sessions_total" counter ("end")
        "Sessions that ended: end=runtime_closed, shutdown (the runtime asked for it), stopped (the host did) or error."
}

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DroppedFrame {
    NotOpen,
    Stalled,
}

pub(crate) fn dropped_frame(reason: DroppedFrame) {
    let reason = match reason {
        DroppedFrame::NotOpen => "not_open",
        DroppedFrame::Stalled => "stalled",
    };
    counter!(FRAMES_DROPPED, "reason" => reason).increment(1);
}

/// Why a message was dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DroppedMessage {
    UnknownStream,
    Oversize,
    Undecodable,
    BadType,
}

pub(crate) fn dropped_message(reason: DroppedMessage) {
    let reason = match reason {
        DroppedMessage::UnknownStream => "unknown_stream",
        DroppedMessage::Oversize => "oversize",
        DroppedMessage::Undecodable => "undecodable",
        DroppedMessage::BadType => "bad_type",
    };
    counter!(MESSAGES_DROPPED, "reason" => reason).increment(1);
}

pub(crate) fn handled(event: &'static str, result: &'static str) {
    counter!(HANDLED, "event" => event, "result" => result).increment(1);
}

pub(crate) fn session_ended(end: &'static str) {
    counter!(SESSIONS, "end" => end).increment(1);
}

pub(crate) fn untracked() {
    counter!(UNTRACKED).increment(1);
}

pub(crate) fn attempt(result: &'static str) {
    counter!(ATTEMPTS, "result" => result).increment(1);
}
