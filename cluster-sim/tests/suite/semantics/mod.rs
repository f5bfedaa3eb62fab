//! What an API server does, as one suite: it runs against the simulator, and against a real server when the environment
//! variable `KUBE_AGENT_KIT_REAL_KUBECONFIG` names its kubeconfig. What the simulator is believed to do is thereby
//! proven, or corrected.

#![expect(clippy::needless_pass_by_value, reason = "json!(…) reads best where it is used")]

mod apply;
mod cluster;
mod crud;
mod custom;
mod delete;
mod discovery;
mod list;
mod patch;
mod rbac;
mod watch;

/// Make two tests of each case: one per kind of server.
macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        mod simulated {
            $(#[tokio::test]
            async fn $case() {
                super::cluster::simulated(super::$module::$case).await;
            })*
        }
        mod real {
            $(#[tokio::test]
            async fn $case() {
                super::cluster::real(super::$module::$case).await;
            })*
        }
    };
}

cases! {
    crud::a_create_gives_identity,
    crud::a_name_is_taken_once,
    crud::bad_names_are_refused,
    crud::bad_labels_are_refused,
    crud::unreadable_bodies_are_refused,
    crud::an_update_of_an_old_version_conflicts,
    crud::an_update_of_what_has_gone_conflicts,
    crud::an_update_without_a_change_makes_no_version,
    crud::generation_counts_specs,
    crud::status_is_written_by_itself,
    crud::an_object_stays_where_it_is,
    crud::a_dry_run_stores_nothing,
    crud::lease_times_have_microseconds,
    crud::scale_is_replicas_alone,
    crud::events_have_two_doors,
    crud::secrets_are_base64,
    delete::a_deleted_object_is_gone,
    delete::preconditions_must_hold,
    delete::finalizers_hold_an_object,
    delete::a_collection_is_deleted_by_selector,
    delete::a_pod_on_a_node_gets_its_grace,
    list::pages_are_of_one_state,
    list::a_bad_token_is_refused,
    list::selectors_select,
    list::unknown_fields_cannot_be_selected_by,
    list::any_version_ignores_the_limit,
    list::an_exact_version_is_that_state,
    list::a_version_that_has_not_happened_is_a_timeout,
    list::version_matches_are_checked,
    list::metadata_alone,
    list::items_leave_out_their_kind,
    watch::changes_after_a_version,
    watch::present_objects_come_first,
    watch::selectors_turn_changes_into_arrivals_and_departures,
    watch::a_timeout_ends_with_a_bookmark,
    watch::initial_events_end_with_a_bookmark,
    watch::options_are_checked,
    patch::merge_patches,
    patch::json_patches,
    patch::strategic_patches,
    patch::a_patch_can_name_its_version,
    patch::unknown_patches_are_refused,
    apply::an_apply_creates_and_owns,
    apply::what_is_no_longer_applied_goes,
    apply::conflicts_name_the_other_manager,
    apply::lists_of_named_things_are_shared,
    apply::an_update_takes_fields_over,
    apply::a_manager_must_have_a_name,
    apply::an_apply_can_name_its_version,
    apply::an_apply_can_name_its_object,
    rbac::a_role_grants_what_it_names,
    rbac::subresources_are_named_by_themselves,
    rbac::names_restrict_what_has_a_name,
    rbac::an_apply_that_creates_needs_both_rights,
    rbac::groups_have_rights,
    rbac::a_binding_to_no_role_is_told,
    rbac::everybody_may_discover,
    rbac::reviews_answer_by_roles,
    custom::a_definition_makes_a_kind,
    discovery::groups_and_resources,
    discovery::unknown_paths_are_not_found,
}
