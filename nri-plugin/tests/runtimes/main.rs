//! Plugins and whole runtimes, each test against each of them, over sockets and in real time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod driver;
mod ends;
mod events;
mod failures;
mod go;
mod join;
mod mock;
mod plugins;
mod updates;
mod wire;

/// All tests against one runtime: its name, its driver, and what it is.
macro_rules! against {
    ($runtime:ident: $driver:ty, $kind:expr) => {
        against! { $runtime: $driver, $kind;
            join {
                a_plugin_joins_with_the_events_that_the_runtime_knows
                what_exists_is_told_before_any_event
                a_plugin_changes_what_exists_when_it_joins
                a_state_beyond_one_message_comes_whole
                plugins_that_come_at_once_all_join
                a_peer_that_says_nothing_holds_others_up_for_the_time_of_a_registration
            }
            events {
                the_life_of_a_pod_comes_in_order
                a_creation_gets_what_the_plugin_wants
                plugins_are_called_by_index_and_each_sees_what_those_before_it_did
                plugins_that_want_the_same_fail_the_container
                a_plugin_may_replace_what_another_one_gave
                updates_come_with_the_answers_to_an_update_and_a_stop
                a_validator_accepts_and_rejects
                long_messages_come_through_both_ways
            }
            failures {
                an_observer_never_fails_a_pod_and_stays
                an_enforcer_fails_it_and_stays
                without_an_answer_an_enforcer_fails_the_pod_where_the_runtime_asks
                without_an_answer_a_plugin_stays_that_asks_for_it_where_the_runtime_heeds_it
            }
            updates {
                updates_go_to_the_runtime_and_those_that_failed_come_back
                updates_from_many_tasks_are_all_taken
                a_handler_may_ask_for_updates_where_the_runtime_does_not_wait_for_both
            }
            ends {
                a_runtime_that_stops_ends_the_session_and_the_next_one_is_joined_anew
                a_runtime_goes_on_without_a_plugin_that_left
                a_stop_answers_the_event_that_runs
            }
            wire {
                names_and_indices_are_those_that_an_identity_has
                a_mask_beyond_the_known_events_ends_the_connection
                events_without_a_call_of_their_own_fall_back
                a_status_fails_the_pod_and_the_connection_stays
                no_answer_in_time_ends_the_connection_and_not_the_pod
                no_validation_fails_the_container
                a_part_that_is_taken_for_the_whole_ends_the_connection
                frames_for_nobody_are_dropped
                streams_out_of_order_are_refused
                a_first_frame_that_is_too_long_ends_the_connection
            }
        }
    };
    ($runtime:ident: $driver:ty, $kind:expr; $($area:ident { $($test:ident)* })*) => {
        mod $runtime {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(runtime) = <$driver as crate::driver::Driver>::start($kind).await {
                        crate::driver::within(crate::$area::$test(runtime)).await;
                    }
                }
            )*)*
        }
    };
}

against!(go_0_8: crate::go::GoHost, crate::driver::NRI_0_8);
against!(go_newest: crate::go::GoHost, crate::driver::NRI_NEWEST);
against!(mock_0_8: crate::mock::Mock, crate::driver::NRI_0_8);
against!(mock_newest: crate::mock::Mock, crate::driver::NRI_NEWEST);
