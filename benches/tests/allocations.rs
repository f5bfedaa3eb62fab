//! How often storing a pod allocates: counted, not timed.

use benches::{default_families, filled_store, pods, put, three_container_pod};

#[test]
fn a_three_container_pod_is_walked_and_stored_with_few_allocations() {
    let families = default_families();
    let store = filled_store(&pods(300));
    let pod = three_container_pod();
    // The first time interns what is new.
    put(&store, &pod, &families);
    let counted = allocation_counter::measure(|| put(&store, &pod, &families));
    assert!(counted.count_total <= 25, "{counted:?}");
}
