//! Several snapshots, odd names → headers.

use ksm_core::{Exposition, Family, Format, MetricType};

use super::support::store;

#[test]
fn no_header_comes_twice_and_no_family_is_interrupted() {
    let families = [Family::gauge("a", "First a."), Family::gauge("b", "First b.")];
    let others = [Family::gauge("b", "Second b."), Family::gauge("c", "Second c."), Family::gauge("a", "Second a.")];
    let first = store(&families, &[(&[("n", "1")], &[(0, &[], 1.0), (1, &[], 2.0)])]);
    let second = store(&others, &[(&[("n", "2")], &[(0, &[], 3.0), (1, &[], 4.0), (2, &[], 5.0)])]);
    assert_eq!(
        Exposition::new([first, second], Format::Text).to_text(),
        "# HELP a [ALPHA] First a.\n# TYPE a gauge\na{n=\"1\"} 1\na{n=\"2\"} 5\n\
         # HELP b [ALPHA] First b.\n# TYPE b gauge\nb{n=\"1\"} 2\nb{n=\"2\"} 3\n\
         # HELP c [ALPHA] Second c.\n# TYPE c gauge\nc{n=\"2\"} 4\n"
    );
}

#[test]
fn a_name_that_no_format_takes_costs_its_family_alone() {
    let families =
        ["good", "not good", "1st", "größe", ""].map(|name| Family::dynamic(name, "Help.", MetricType::Gauge));
    let samples: Vec<_> = (0..5).map(|family| (family, [].as_slice(), 1.0)).collect();
    let snapshot = store(&families, &[(&[("n", "1")], &samples)]);
    for format in [Format::Text, Format::OpenMetrics] {
        let text = Exposition::new([snapshot.clone()], format).to_text();
        let want = "# HELP good [ALPHA] Help.\n# TYPE good gauge\ngood{n=\"1\"} 1\n";
        assert_eq!(text.trim_end_matches("# EOF\n"), want);
    }
}
